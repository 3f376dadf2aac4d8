/**
 * Narrows values by checking them. A value that must exist is returned, or an error is thrown: a bug fails at its origin, instead of as an
 * `undefined` that travels on.
 */

/** Returns true if a value is an object, and neither an array nor a number in an object. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Number);

/** Returns the object in a JSON text; undefined for any other text. */
export function recordIn(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Thrown if a value that must exist is missing: a bug in the program, not an error of the user. */
export class MissingError extends Error {
  override name = 'MissingError';
}

/** Returns a value that must exist. @throws MissingError that names `what` if it does not */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new MissingError(`${what} is missing`);
  return value;
}

/** Returns the element at `i`, from the end if `i` is negative. @throws MissingError if there is none */
export function elementAt<T>(list: readonly T[], i: number): T {
  const at = i < 0 ? i + list.length : i;
  const element = list[at];
  if (element === undefined) throw new MissingError(`a list of ${list.length} has no element ${i}`);
  return element;
}

/** Returns the last element. @throws MissingError if the list is empty */
export const lastOf = <T>(list: readonly T[]): T => elementAt(list, -1);

interface Lookup<Key, Value> {
  get(key: Key): Value | undefined;
}

/** Returns the value of a key that a map must have. @throws MissingError if the map does not have it */
export function valueFor<Key, Value>(map: Lookup<Key, Value>, key: Key): Value {
  const value = map.get(key);
  if (value === undefined) throw new MissingError(`a map has no value for ${typeof key === 'object' ? 'this object' : String(key)}`);
  return value;
}

interface AtLeast<T> {
  readonly 1: readonly [T, ...T[]];
  readonly 2: readonly [T, T, ...T[]];
  readonly 3: readonly [T, T, T, ...T[]];
  readonly 5: readonly [T, T, T, T, T, ...T[]];
}

/** Returns a list, typed as having at least this many elements. @throws MissingError if it has fewer */
export function atLeast<T, Count extends keyof AtLeast<T>>(list: readonly T[], count: Count): AtLeast<T>[Count];
export function atLeast<T>(list: readonly T[], count: number): readonly T[] {
  if (list.length < count) throw new MissingError(`a list of ${list.length} has fewer than ${count} elements`);
  return list;
}
