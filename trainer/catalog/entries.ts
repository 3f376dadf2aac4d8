/** Helpers for all catalogs: entries by name, choices for a setting, and names in a sentence. */

interface Described {
  readonly summary: string;
}

/** Name → summary: the choices of a setting. */
export const choicesOf = <N extends string>(catalog: Readonly<Record<N, Described>>): Readonly<Record<N, string>> =>
  // The keys are those of the catalog.
  Object.fromEntries(Object.entries<Described>(catalog).map(([name, { summary }]) => [name, summary])) as Record<N, string>;

/** The names of a table's entries, in their order. */
export const namesOf = <N extends string>(table: Readonly<Partial<Record<N, unknown>>>): readonly N[] =>
  // Object.keys gives strings; those of a table are its names.
  Object.keys(table) as N[];

/** Returns whether a value is one of these names. */
export const isOneOf = <N extends string>(names: readonly N[], value: unknown): value is N => names.some(name => name === value);

/** The entry of a table under a name that may not be one of its names. */
export const entryOf = <N extends string, E>(catalog: Readonly<Record<N, E>>, name: unknown): E | undefined =>
  isOneOf(namesOf(catalog), name) ? catalog[name] : undefined;

/** The names of the entries with a capability. */
export const namesWhere = <N extends string, E>(catalog: Readonly<Record<N, E>>, has: (entry: E) => boolean): readonly N[] =>
  namesOf(catalog).filter(name => has(catalog[name]));

/** "lora", "lora or dora", "lora, dora or rosa". */
export const orList = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;

/** "lora", "lora and dora", "lora, dora and rosa". */
export const andList = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
