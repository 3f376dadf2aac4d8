/** How stable a choice of rows is: overlaps between selections, and rows specific to one class. Pure. */
import type { Scores, Selection } from '../selection.ts';

/** |a ∩ b| / |a ∪ b| of ascending lists; 1 if both are empty. */
export function jaccard(a: Int32Array, b: Int32Array): number {
  let [i, j, both] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const [x, y] = [a[i] as number, b[j] as number];
    if (x === y) both++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  const either = a.length + b.length - both;
  return either === 0 ? 1 : both / either;
}

export interface Overlap {
  /** Mean Jaccard index over the modules. */
  readonly mean: number;
  readonly lowest: number;
  readonly lowestModule: string;
}

/** The overlap of two selections over the same modules. */
export function overlapOf(a: Selection, b: Selection): Overlap {
  const found = [...a].map(([module, rows]) => ({ module, index: jaccard(rows, b.get(module) ?? new Int32Array()) }));
  const lowest = found.reduce((low, next) => (next.index < low.index ? next : low));
  return { mean: found.reduce((sum, { index }) => sum + index, 0) / found.length, lowest: lowest.index, lowestModule: lowest.module };
}

/** The mean overlap of every pair, [n, n]. */
export const overlapTable = (selections: readonly Selection[]): number[][] =>
  selections.map(a => selections.map(b => overlapOf(a, b).mean));

/** The expected Jaccard index of two independent random draws of `chosen` out of `rows` rows: about k / (2n − k). */
export const chanceOverlap = (chosen: number, rows: number): number => chosen / (2 * rows - chosen);

/** The rows of each selection that no other selection contains. */
export const specificRows = (selections: readonly Selection[]): Selection[] =>
  selections.map(
    (own, i) =>
      new Map(
        [...own].map(([module, rows]) => {
          const others = new Set(selections.flatMap((other, j) => (i === j ? [] : [...(other.get(module) ?? [])])));
          return [module, rows.filter(row => !others.has(row))];
        }),
      ),
  );

export const countRows = (selection: Selection): number => [...selection.values()].reduce((sum, rows) => sum + rows.length, 0);

/** The scores of one class. @param scores module → [classes, rows] */
export const scoresOfClass = (scores: Scores, label: number, classes: number): Scores =>
  new Map(
    [...scores].map(([module, values]) => {
      const rows = values.length / classes;
      return [module, values.subarray(label * rows, (label + 1) * rows)];
    }),
  );
