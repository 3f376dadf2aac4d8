/** A setting of a recipe, and a group of settings. One description gives type, default, bounds, documentation and schema. */
import type { ValueType } from './value-type.ts';

export type Presence = 'required' | 'defaulted' | 'optional';

/** The settings resolved so far, by dotted path: the ones above in the table, and those below that the recipe sets. */
export type Given = Readonly<Record<string, unknown>>;

export interface Setting<T = unknown, P extends Presence = Presence> {
  readonly presence: P;
  readonly type: ValueType<T>;
  /** The default value; undefined for a required setting. */
  readonly resolveDefault: (given: Given) => T | undefined;
  /** The default in words: "3", "the training batch size"; undefined if there is none. */
  readonly defaultText?: string;
  /** The default, if it does not depend on other settings. */
  readonly fixedDefault?: T;
  /** The documentation, one sentence. */
  readonly doc: string;
  /** The effect of the setting on memory. */
  readonly memory?: string;
  /** Present if null has a meaning in other tools: the value to write for it here. Null is then an error. */
  readonly nullHint?: string;
  /** The reason why all runs of a sweep share one value. */
  readonly fixedInSweep?: string;
}

export interface Group<F extends Fields = Fields> {
  readonly doc: string;
  readonly fields: F;
}

export type Fields = { readonly [name: string]: Setting | Group };

/** The documentation of a setting. */
export interface Doc {
  readonly doc: string;
  readonly memory?: string;
  readonly nullHint?: string;
  readonly fixedInSweep?: string;
}

/** Reasons for `fixedInSweep`. */
export const FAIR_SWEEP = 'all runs of a sweep are compared by the same held-out data';
export const OWN_FOLDER = 'every run of a sweep gets its own';
export const SAME_MACHINE = 'all runs of a sweep share the machine in the same way';

export const isGroup = (entry: Setting | Group): entry is Group => 'fields' in entry;

/** A required setting. */
export const required = <T>(type: ValueType<T>, doc: Doc): Setting<T, 'required'> => ({
  ...doc,
  presence: 'required',
  type,
  resolveDefault: () => undefined,
});

/** A setting with a constant default. */
export const defaulted = <T, const D extends T>(type: ValueType<T>, value: D, doc: Doc): Setting<T, 'defaulted'> => ({
  ...doc,
  presence: 'defaulted',
  type,
  resolveDefault: () => value,
  fixedDefault: value,
  defaultText: JSON.stringify(value),
});

/** A setting whose default depends on earlier settings; `text` describes it. */
export const derived = <T>(type: ValueType<T>, text: string, value: (given: Given) => T, doc: Doc): Setting<T, 'defaulted'> => ({
  ...doc,
  presence: 'defaulted',
  type,
  resolveDefault: value,
  defaultText: text,
});

/** An optional setting; with `byOthers`, earlier settings can give it a value. */
export const optional = <T>(
  type: ValueType<T>,
  doc: Doc,
  byOthers?: { readonly text: string; readonly value: (given: Given) => T | undefined },
): Setting<T, 'optional'> => ({
  ...doc,
  presence: 'optional',
  type,
  resolveDefault: byOthers?.value ?? (() => undefined),
  defaultText: byOthers?.text,
});

/** A nested map of settings. */
export const group = <const F extends Fields>(doc: string, fields: F): Group<F> => ({ doc, fields });

type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends Setting<unknown, 'optional'> ? K : never }[keyof F];
type ResolvedEntry<E> = E extends Setting<infer T> ? T : E extends Group<infer F> ? Resolved<F> : never;

/** The TypeScript type of the settings with every default filled in. */
export type Resolved<F extends Fields> = {
  readonly [K in Exclude<keyof F, OptionalKeys<F>>]: ResolvedEntry<F[K]>;
} & { readonly [K in OptionalKeys<F>]?: ResolvedEntry<F[K]> };
