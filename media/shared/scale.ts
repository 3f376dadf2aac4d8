/** Maps values to positions between 0 and 1: linear, logarithmic, or by rank. All scales are increasing. */
import { compact } from '../../trainer/protocol/text/format.ts';

export type ScaleName = 'linear' | 'log' | 'rank';
export const scaleNames: readonly ScaleName[] = ['linear', 'log', 'rank'];

export interface Scale {
  /** Returns the position from 0 to 1; NaN for NaN. */
  position(value: number): number;
  /** Returns at most `count` ticks for a legend. */
  ticks(count: number): readonly Tick[];
  readonly isEmpty: boolean;
}

export interface Tick {
  readonly position: number;
  readonly label: string;
}

type Values = ArrayLike<number>;

/** The finite values in ascending order. */
function sortedValues(values: Values): Float64Array {
  const finite = Float64Array.from(values).filter(Number.isFinite);
  return finite.sort();
}

/** @param values the values that the scale covers; non-finite values are ignored */
export function createScale(name: ScaleName, values: Values): Scale {
  const sorted = sortedValues(values);
  switch (name) {
    case 'linear':
      return linearScale(sorted[0] ?? 0, sorted.at(-1) ?? 0, sorted.length === 0);
    case 'log':
      return logScale(sorted);
    case 'rank':
      return rankScale(sorted);
  }
}

export function linearScale(low: number, high: number, isEmpty = false): Scale {
  const span = high - low;
  return {
    position: value => (Number.isNaN(value) ? Number.NaN : span > 0 ? clamp((value - low) / span) : 0.5),
    ticks: count => niceTicks(low, high, count).map(value => ({ position: span > 0 ? (value - low) / span : 0.5, label: compact(value) })),
    isEmpty,
  };
}

/** A logarithmic scale; values at or below zero map to the lower end. */
function logScale(sorted: Float64Array): Scale {
  const positive = sorted.filter(value => value > 0);
  const [low, high] = [Math.log10(positive[0] ?? 1), Math.log10(positive.at(-1) ?? 1)];
  const span = high - low;
  const position = (value: number): number =>
    Number.isNaN(value) ? Number.NaN : value <= 0 ? 0 : span > 0 ? clamp((Math.log10(value) - low) / span) : 0.5;
  return {
    position,
    ticks: count => logTicks(low, high, count).map(value => ({ position: position(value), label: compact(value) })),
    isEmpty: sorted.length === 0,
  };
}

/** Positions by the share of values below, with equal values counted half, so that ties share a position. */
function rankScale(sorted: Float64Array): Scale {
  const count = sorted.length;
  const position = (value: number): number => {
    if (Number.isNaN(value)) return Number.NaN;
    const [below, notAbove] = [firstAt(sorted, value, false), firstAt(sorted, value, true)];
    // From the center of the first value to the center of the last.
    return count < 2 ? 0.5 : clamp(((below + notAbove) / 2 - 0.5) / (count - 1));
  };
  const valueAt = (at: number): number => sorted[Math.round(clamp(at) * (count - 1))] ?? Number.NaN;
  return {
    position,
    ticks: wanted =>
      count === 0
        ? []
        : Array.from({ length: wanted }, (_, i) => i / Math.max(1, wanted - 1)).map(at => ({
            position: at,
            label: compact(rounded(valueAt(at))),
          })),
    isEmpty: count === 0,
  };
}

/** A scale with zero in the center and both ends at equal distance. */
export function differenceScale(values: Values): Scale {
  let furthest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i] ?? Number.NaN);
    if (Number.isFinite(size)) furthest = Math.max(furthest, size);
  }
  const scale = linearScale(-furthest, furthest);
  return { ...scale, ticks: count => scale.ticks(count).map(tick => ({ ...tick, label: tick.label.replace(/^-/, '−') })) };
}

const clamp = (share: number): number => Math.min(1, Math.max(0, share));
const rounded = (value: number): number => Number(value.toPrecision(3));

/** Returns the number of sorted values below `value`; with `orEqual`, at most `value`. */
export function firstAt(sorted: ArrayLike<number>, value: number, orEqual: boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const here = sorted[middle] ?? Number.NaN;
    if (here < value || (orEqual && here === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns round numbers in a range, including round ends. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const span = high - low;
  if (!(span > 0) || count < 2) return [low];
  const rough = span / (count - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough * (1 - 1e-9)) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first) + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Returns powers of ten if the range spans enough of them, otherwise also other round multiples. */
function logTicks(low: number, high: number, count: number): number[] {
  const factors = high - low >= 2 ? [1] : high - low >= 0.7 ? [1, 2, 5] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
  const all: number[] = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++)
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(3));
      const at = Math.log10(value);
      if (at >= low - 1e-9 && at <= high + 1e-9) all.push(value);
    }
  if (all.length === 0) return [rounded(10 ** low), rounded(10 ** high)];
  const stride = Math.ceil(all.length / count);
  return all.filter((_, i) => i % stride === 0);
}
