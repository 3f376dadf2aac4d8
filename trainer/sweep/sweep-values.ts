/** The values of each run of a sweep. Pure: the same recipe and seed give the same runs. */
import { MissingError, required } from '../narrow.ts';
import type { ValueType } from '../protocol/recipe/recipe-schema.ts';
import { isCount, isRange, isWhole, type SweptRange, type SweptSettings, type SweptValues } from '../protocol/recipe/swept-values.ts';
import { createRandom, hashSeed, permutation, type Random } from '../random.ts';

/** The swept settings of one run, by their dotted names. */
export type RunValues = Readonly<Record<string, unknown>>;

export interface SweepSpace {
  readonly over: SweptSettings;
  /** The type of each swept setting. */
  readonly types: Readonly<Record<string, ValueType<unknown>>>;
  /** Values of the recipe, from which counted values start. */
  readonly starts: Readonly<Record<string, unknown>>;
}

/** Returns every combination; the last setting changes fastest. @throws Error for a range without a count */
export function gridRuns(space: SweepSpace): RunValues[] {
  let runs: RunValues[] = [{}];
  for (const [name, values] of Object.entries(space.over)) {
    const points = pointsOf(space, name, values);
    if (points === undefined) throw new Error(`the range of ${name} has no count`);
    runs = runs.flatMap(run => points.map(point => ({ ...run, [name]: point })));
  }
  return runs;
}

/**
 * Returns at most `count` different combinations. If there are no more than `count`, all of them in grid order. Otherwise a Latin hypercube
 * (McKay, Beckman and Conover, 1979): the values of each setting are drawn one from each of `count` equal parts of its range, so that few
 * runs cover it evenly; each value by itself is uniform (in ratio if `log`).
 */
export function drawnRuns(space: SweepSpace, { count, seed }: { readonly count: number; readonly seed: number }): RunValues[] {
  const names = Object.keys(space.over);
  const lists = names.map(name => pointsOf(space, name, required(space.over[name], name)));
  const all = lists.reduce<number | undefined>((n, list) => (n === undefined || list === undefined ? undefined : n * list.length), 1);
  if (all !== undefined && all <= count) return gridRuns(space);
  const runs = new Map<string, RunValues>();
  // Repeated combinations are drawn again; a narrow integer range may not have enough.
  for (let round = 0; runs.size < count && round < MAX_ROUNDS; round++) {
    const missing = count - runs.size;
    const shares = names.map(name => stratified(missing, createRandom(hashSeed(seed, name), round)));
    for (let i = 0; i < missing; i++) {
      const values = names.map((name, place) => [name, valueAtShare(space, name, shares[place]?.[i] ?? 0)] as const);
      const run = Object.fromEntries(values);
      runs.set(JSON.stringify(run), run);
    }
  }
  return [...runs.values()];
}

/** Returns one value from each of `count` equal parts of [0, 1), in random order. */
const stratified = (count: number, random: Random): number[] =>
  [...permutation(count, random)].map(part => (part + random.uniform()) / count);

const MAX_ROUNDS = 100;
/** Significant digits of drawn values, so that a recipe that repeats one stays short. */
const DIGITS = 3;

/** Returns the values of a setting; undefined for a range without a count. */
function pointsOf({ types, starts }: SweepSpace, name: string, values: SweptValues): readonly unknown[] | undefined {
  if (isCount(values)) return Array.from({ length: values.count }, (_, i) => Number(starts[name] ?? 0) + i);
  if (!isRange(values)) return values;
  const { count } = values;
  if (count === undefined) return undefined;
  const whole = isWhole(required(types[name], name));
  const points = Array.from({ length: count }, (_, i) => rounded(between(values, count === 1 ? 0 : i / (count - 1)), values, whole));
  return [...new Set(points)];
}

/** Returns the value at a share of the range. @param share in [0, 1) */
function valueAtShare(space: SweepSpace, name: string, share: number): unknown {
  const values = required(space.over[name], name);
  const points = pointsOf(space, name, values);
  if (points !== undefined) return points[Math.floor(share * points.length)];
  if (!isRange(values)) throw new MissingError(`${name} has no list of values and no range`);
  return rounded(between(values, share), values, isWhole(required(space.types[name], name)));
}

/** Interpolates within a range. @param share from 0 to 1 */
function between({ min, max, scale = 'log' }: SweptRange, share: number): number {
  if (share === 0) return min;
  if (share === 1) return max;
  return scale === 'linear' ? min + share * (max - min) : min * (max / min) ** share;
}

/** Rounds a value within the range. */
function rounded(value: number, { min, max }: SweptRange, whole: boolean): number {
  const near = whole ? Math.round(value) : Number(value.toPrecision(DIGITS));
  return Math.min(max, Math.max(min, near));
}
