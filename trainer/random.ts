/**
 * Seeded random numbers: xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix32 from a list of integers, so that every draw is
 * a pure function of, for example, (seed, epoch) and equal on every machine: a run can be repeated and resumed.
 */

export interface Random {
  /** Returns an integer, uniform over 0 … 2³² − 1. */
  uint32(): number;
  /** Returns an integer, uniform over 0 … limit − 1, without bias; limit from 1 to 2³². */
  below(limit: number): number;
  /** Returns a number, uniform in [0, 1). */
  uniform(): number;
}

/** Returns a 32-bit key from a number and a name (FNV-1a), so that each use has its own stream. */
export function hashSeed(seed: number, name: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

const rotateLeft = (value: number, by: number) => (value << by) | (value >>> (32 - by));

/** Returns a generator for these keys; other keys, or the same in another order, give an unrelated stream. Keys are integers up to 2⁵³. */
export function createRandom(...keys: readonly number[]): Random {
  const [first = 1, second = 2, third = 3, fourth = 4] = seedState(keys);
  let [a, b, c, d] = [first, second, third, fourth];
  const uint32 = () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  const below = (limit: number) => {
    // Draws at or above the largest multiple of `limit` would favor small values, so they are repeated.
    const fair = 2 ** 32 - (2 ** 32 % limit);
    let draw = uint32();
    while (draw >= fair) draw = uint32();
    return draw % limit;
  };
  return { uint32, below, uniform: () => uint32() / 2 ** 32 };
}

/** Shuffles in place (Fisher and Yates); returns its argument. */
export function shuffle<T extends unknown[] | Int32Array>(values: T, random: Random): T {
  for (let last = values.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const kept = values[last];
    values[last] = values[other];
    values[other] = kept;
  }
  return values;
}

/** Returns the integers 0 … count − 1 in random order. */
export function permutation(count: number, random: Random): Int32Array {
  return shuffle(
    Int32Array.from({ length: count }, (_, index) => index),
    random,
  );
}

/**
 * Returns `count` of the integers 0 … size − 1, each set equally likely, ascending. Floyd's algorithm: time and memory only grow with
 * `count`.
 */
export function drawn(count: number, size: number, random: Random): Int32Array {
  const taken = new Set<number>();
  for (let last = size - count; last < size; last++) {
    const draw = random.below(last + 1);
    taken.add(taken.has(draw) ? last : draw);
  }
  return Int32Array.from(taken).sort();
}

/** Returns four words, never all zero, that depend on every bit of every key. */
function seedState(keys: readonly number[]): number[] {
  let state = 0x9e3779b9;
  for (const key of keys) {
    state = mix(state ^ (key >>> 0));
    state = mix(state + Math.floor(key / 2 ** 32) + 0x85ebca6b);
  }
  return [1, 2, 3, 4].map(step => mix(state + Math.imul(step, 0x9e3779b9)) || step);
}

/** Applies the finalizer of splitmix32. */
function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}
