/** A rule between settings. */
import type { Severity, Suggestion } from '../../problem.ts';
import type { GroupName, Recipe } from '../recipe-schema.ts';

type Paths<T, Prefix extends string = ''> = {
  [K in keyof T & string]-?: NonNullable<T[K]> extends readonly unknown[]
    ? `${Prefix}${K}`
    : K extends GroupName
      ? Paths<NonNullable<T[K]>, `${Prefix}${K}.`>
      : `${Prefix}${K}`;
}[keyof T & string];

/** The dotted path of a setting. */
export type SettingPath = Paths<Recipe>;

export interface Finding {
  /** The setting at fault; if the text does not contain it, the nearest key is marked. */
  readonly at: SettingPath;
  /** Present if the key is marked, not the value. */
  readonly on?: 'key';
  readonly message: string;
  readonly suggestion?: Suggestion;
}

export interface Rule {
  /** A stable code in kebab-case. */
  readonly code: string;
  readonly severity: Severity;
  /** One sentence that describes a correct recipe. */
  readonly doc: string;
  /** The settings that the rule reads; it does not run if one of them is invalid. */
  readonly reads: readonly SettingPath[];
  /** Checks a recipe. `given` returns whether the recipe sets a value, as opposed to its default. */
  readonly check: (recipe: Recipe, given: (path: SettingPath) => boolean) => Finding | readonly Finding[] | undefined;
}
