/** Reduces curves of 100,000 points to what a chart of a given width can show. */
import type { Points } from './metric-history.ts';
import { lastAtMost } from './numbers.ts';

/** Curves with a common x, as uPlot requires; null if a curve has no point there. */
export interface Aligned {
  readonly x: readonly number[];
  readonly ys: readonly (readonly (number | null)[])[];
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/**
 * Returns the points in a range and one on either side, so that lines leave the chart in the right direction. With more than two points per
 * pixel, each pixel column keeps the lowest and the highest value of each curve in their original order, so that no peak is lost.
 * @param columns width of the chart in pixels
 */
export function resample(curves: readonly Points[], range: Range, columns: number): Aligned {
  const windows = curves.map(({ x }) => [Math.max(0, lastAtMost(x, range.min)), Math.min(x.length, lastAtMost(x, range.max) + 2)] as const);
  const most = Math.max(0, ...windows.map(([from, to]) => to - from));
  if (most <= 2 * columns || range.max <= range.min) return union(curves, windows);
  return buckets(curves, windows, range, columns);
}

type Window = readonly [from: number, to: number];

function union(curves: readonly Points[], windows: readonly Window[]): Aligned {
  const all = new Set<number>();
  for (const [i, [from, to]] of windows.entries()) for (const x of curves[i]?.x.subarray(from, to) ?? []) all.add(x);
  const x = [...all].sort((a, b) => a - b);
  const place = new Map(x.map((value, i) => [value, i]));
  const ys = curves.map((curve, i) => {
    const [from, to] = windows[i] ?? [0, 0];
    const y: (number | null)[] = new Array(x.length).fill(null);
    for (let p = from; p < to; p++) y[place.get(curve.x[p] ?? Number.NaN) ?? -1] = curve.y[p] ?? null;
    return y;
  });
  return { x, ys };
}

function buckets(curves: readonly Points[], windows: readonly Window[], { min, max }: Range, columns: number): Aligned {
  const width = (max - min) / columns;
  // One more column before and after the range, for the neighbors outside.
  const x = Array.from(
    { length: 2 * (columns + 2) },
    (_, i) => min + (Math.floor(i / 2) - 1) * width + (i % 2 === 0 ? 0.25 : 0.75) * width,
  );
  const ys = curves.map((curve, i) => {
    const [from, to] = windows[i] ?? [0, 0];
    const y: (number | null)[] = new Array(x.length).fill(null);
    const xAt = (p: number): number => curve.x[p] ?? Number.NaN;
    const yAt = (p: number): number => curve.y[p] ?? Number.NaN;
    for (let p = from; p < to; ) {
      const column = columnOf(xAt(p));
      let [lowest, highest] = [p, p];
      for (; p < to && columnOf(xAt(p)) === column; p++) {
        if (yAt(p) < yAt(lowest)) lowest = p;
        if (yAt(p) > yAt(highest)) highest = p;
      }
      y[2 * column] = yAt(Math.min(lowest, highest));
      y[2 * column + 1] = yAt(Math.max(lowest, highest));
    }
    return y;
  });
  return { x, ys };

  function columnOf(value: number): number {
    return Math.min(columns + 1, Math.max(0, Math.floor((value - min) / width) + 1));
  }
}
