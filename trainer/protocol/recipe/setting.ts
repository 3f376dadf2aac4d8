/** A setting of a recipe and a group of settings: one description from which type, default, bounds, documentation and schema all come. */
import type { ValueType } from './value-type.ts';

export type Presence = 'required' | 'defaulted' | 'optional';

/** The settings resolved so far, by dotted path; a derived default may read only settings that stand before it in the table. */
export type Given = Readonly<Record<string, unknown>>;

export interface Setting<T = unknown, P extends Presence = Presence> {
  readonly presence: P;
  readonly type: ValueType<T>;
  /** The value where the recipe gives none; nothing for a required setting. */
  readonly resolveDefault: (given: Given) => T | undefined;
  /** The default for people: "3", "the train batch"; nothing where there is none. */
  readonly defaultText?: string;
  /** The default as plain data, where it does not depend on other settings. */
  readonly fixedDefault?: T;
  /** One sentence. */
  readonly doc: string;
  /** What the setting means for memory. */
  readonly memory?: string;
  /** Other tools take null for a value of its own here: what to write for that. Null is an error then. */
  readonly nullHint?: string;
}

export interface Group<F extends Fields = Fields> {
  readonly doc: string;
  readonly fields: F;
}

export type Fields = { readonly [name: string]: Setting | Group };

/** What the documentation of a setting holds. */
export interface Doc {
  readonly doc: string;
  readonly memory?: string;
  readonly nullHint?: string;
}

export const isGroup = (entry: Setting | Group): entry is Group => 'fields' in entry;

/** A setting that every recipe must give. */
export const required = <T>(type: ValueType<T>, doc: Doc): Setting<T, 'required'> => ({
  ...doc,
  presence: 'required',
  type,
  resolveDefault: () => undefined,
});

/** A setting with a default that is always the same. */
export const defaulted = <T, const D extends T>(type: ValueType<T>, value: D, doc: Doc): Setting<T, 'defaulted'> => ({
  ...doc,
  presence: 'defaulted',
  type,
  resolveDefault: () => value,
  fixedDefault: value,
  defaultText: JSON.stringify(value),
});

/** A setting whose default depends on settings before it; `text` says how. */
export const derived = <T>(type: ValueType<T>, text: string, value: (given: Given) => T, doc: Doc): Setting<T, 'defaulted'> => ({
  ...doc,
  presence: 'defaulted',
  type,
  resolveDefault: value,
  defaultText: text,
});

/** A setting that may stay without a value; with `byOthers` it can get one from settings before it. */
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

/** The TypeScript type of the settings once every default is filled in. */
export type Resolved<F extends Fields> = {
  readonly [K in Exclude<keyof F, OptionalKeys<F>>]: ResolvedEntry<F[K]>;
} & { readonly [K in OptionalKeys<F>]?: ResolvedEntry<F[K]> };
