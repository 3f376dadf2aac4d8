/** Helpers for all catalogs: entries by name, choices for a setting, and names in a sentence. */

interface Described {
  readonly summary: string;
}

/** The choices of a setting: name → summary. */
export const choicesOf = <N extends string>(catalog: Readonly<Record<N, Described>>): Readonly<Record<N, string>> =>
  // The keys are the catalog's names.
  Object.fromEntries(Object.entries<Described>(catalog).map(([name, { summary }]) => [name, summary])) as Record<N, string>;

/** The names of a table's entries, in order. */
export const namesOf = <N extends string>(table: Readonly<Partial<Record<N, unknown>>>): readonly N[] =>
  // Object.keys returns strings; those of a table are its names.
  Object.keys(table) as N[];

/** True if a value is one of these names. */
export const isOneOf = <N extends string>(names: readonly N[], value: unknown): value is N => names.some(name => name === value);

/** The entry of a table under a name; undefined if the table does not have this name. */
export const entryOf = <N extends string, E>(catalog: Readonly<Record<N, E>>, name: unknown): E | undefined =>
  isOneOf(namesOf(catalog), name) ? catalog[name] : undefined;

/** The names of the entries with a capability. */
export const namesWhere = <N extends string, E>(catalog: Readonly<Record<N, E>>, has: (entry: E) => boolean): readonly N[] =>
  namesOf(catalog).filter(name => has(catalog[name]));

/** Joins names: "lora", "lora or dora", "lora, dora or rosa". */
export const orList = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;

/** Joins names: "lora", "lora and dora", "lora, dora and rosa". */
export const andList = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
