/** What a rule between settings is. */
import type { Severity, Suggestion } from '../problem.ts';
import type { Recipe } from '../recipe-schema.ts';

type Paths<T, Prefix extends string = ''> = {
  [K in keyof T & string]-?: NonNullable<T[K]> extends readonly unknown[]
    ? `${Prefix}${K}`
    : K extends 'data' | 'importance'
      ? Paths<NonNullable<T[K]>, `${Prefix}${K}.`>
      : `${Prefix}${K}`;
}[keyof T & string];

/** The dotted path of a setting. */
export type SettingPath = Paths<Recipe>;

export interface Finding {
  /** The setting at fault; where the text does not give it, the nearest key that it does give is marked. */
  readonly at: SettingPath;
  /** Marks the key rather than the value. */
  readonly on?: 'key';
  readonly message: string;
  readonly suggestion?: Suggestion;
}

export interface Rule {
  /** Stable, kebab-case. */
  readonly code: string;
  readonly severity: Severity;
  /** One sentence: what holds in a good recipe. */
  readonly doc: string;
  /** The settings that it looks at; where one of them is invalid the rule is not run. */
  readonly reads: readonly SettingPath[];
  /** `given` tells whether a setting was written, apart from its default. */
  readonly check: (recipe: Recipe, given: (path: SettingPath) => boolean) => Finding | readonly Finding[] | undefined;
}
