/** Finds the values of curves, each with its own points, at a position of the x axis. Pure. */
import type { Points } from './metric-history.ts';
import { nearest } from './numbers.ts';

/** The x of the nearest point of any curve; undefined without points. */
export function nearestX(curves: readonly Points[], at: number): number | undefined {
  const near = curves.flatMap(({ x }) => x[nearest(x, at)] ?? []);
  return near.reduce<number | undefined>(
    (best, each) => (best === undefined || Math.abs(each - at) < Math.abs(best - at) ? each : best),
    undefined,
  );
}

/** The x positions of all points of all curves, ascending. */
export const everyX = (curves: readonly Points[]): Float64Array => Float64Array.from(new Set(curves.flatMap(({ x }) => [...x]))).sort();

/** The newest value, or the value nearest to `at`; undefined if the curve ends or begins more than one point spacing away. */
export function valueNear({ x, y }: Points, at: number | undefined): number | undefined {
  if (at === undefined) return y.at(-1);
  const [first, last] = [x[0] ?? 0, x.at(-1) ?? 0];
  const spacing = x.length > 1 ? (last - first) / (x.length - 1) : Number.POSITIVE_INFINITY;
  return at < first - spacing || at > last + spacing ? undefined : y[nearest(x, at)];
}
