/** The rows that a budget selects, computed with the trainer's own code, and the overlap of two selections. */
import type { HeatmapModule, HeatmapSourceInfo } from '../../../trainer/protocol/view/heatmap.ts';
import { type Budget, checkBudget, countsAcross, rowBudget, SelectionError, type SelectionMode } from '../../../trainer/selection.ts';
import type { CellScores, SetScores } from '../score-store.ts';

/** A budget from the slider, or the rows that the run trains. */
export type Choice =
  | { readonly kind: 'budget'; readonly budget: Budget; readonly mode: SelectionMode; readonly least: number }
  | { readonly kind: 'trained' };

/** The term for marked rows: "trained" if a run trained them, "selected" if a budget would choose them. */
export const markOf = ({ kind }: Pick<Choice, 'kind'>): 'trained' | 'selected' => (kind === 'trained' ? 'trained' : 'selected');

/** The trained rows of each module of a run. */
export type TrainedRows = ReadonlyMap<string, Int32Array>;

export const trainedRows = (source: HeatmapSourceInfo | undefined): TrainedRows =>
  new Map(source?.selection?.map(({ module, rows }) => [module, rows]));

/** Returns the description of a module that `selectRows` takes. */
const rowsOf = ({ name, shape, block }: HeatmapModule): Parameters<typeof rowBudget>[0] => ({
  name,
  weight: { name, shape },
  ...(block !== undefined && { block }),
});

export interface Counts {
  /** Number of selected rows by module. */
  readonly counts: Int32Array;
  /** The problem with the budget, if any. */
  readonly problem?: string;
  /** True while rows compete across layers and are not sorted yet; `counts` are then those of a budget per layer. */
  readonly isPending?: boolean;
}

/** Counts the selected rows of each module; returns a problem with the budget instead of throwing. */
export function selectedCounts(modules: readonly HeatmapModule[], choice: Choice, trained: TrainedRows, scores: SetScores): Counts {
  if (choice.kind === 'trained') return { counts: Int32Array.from(modules, ({ name }) => trained.get(name)?.length ?? 0) };
  const counts = Int32Array.from(modules, module => Math.min(module.shape[0] ?? 0, rowBudget(rowsOf(module), choice.budget)));
  try {
    checkBudget(modules.map(rowsOf), choice.budget);
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    return { counts, problem: error.message };
  }
  if (choice.mode === 'per_layer') return { counts };
  const ranked = modules.flatMap(({ name, rowParameters }) => {
    const cell = scores.get(name);
    return cell?.isOrdered
      ? [{ scores: cell.scores, order: cell.choiceOrder, mean: cell.mean, cost: rowParameters ?? 1, block: cell.block }]
      : [];
  });
  return ranked.length === modules.length
    ? { counts: countsAcross(choice.mode, ranked, counts, choice.least) }
    : { counts, isPending: true };
}

/** Number of trained parameters; undefined if a file does not contain the shapes. */
export function selectedParameters(modules: readonly HeatmapModule[], counts: Int32Array): number | undefined {
  let sum = 0;
  for (const [i, { rowParameters }] of modules.entries()) {
    if (rowParameters === undefined) return undefined;
    sum += rowParameters * (counts[i] ?? 0);
  }
  return sum;
}

/** The selected rows of a cell, in any order. */
export function selectedRows(cell: CellScores | undefined, count: number, rows: Int32Array | undefined, choice: Choice): Int32Array {
  if (choice.kind === 'trained') return rows ?? new Int32Array(0);
  return cell ? cell.choiceOrder.subarray(0, count) : new Int32Array(0);
}

export interface Overlap {
  readonly both: number;
  readonly either: number;
}

/** Returns |A ∩ B| and |A ∪ B| of two lists of distinct rows. */
export function overlapOf(a: Int32Array, b: Int32Array, rows: number): Overlap {
  const inA = new Uint8Array(rows);
  for (const row of a) inA[row] = 1;
  let both = 0;
  for (const row of b) both += inA[row] ?? 0;
  return { both, either: a.length + b.length - both };
}

/** The overlap of the top rows in two orders, without building lists. */
function overlapOfTops(a: CellScores, countA: number, b: CellScores, countB: number): Overlap {
  const { choiceOrder: order } = a;
  const { choiceRanks: ranks } = b;
  let both = 0;
  for (let place = 0; place < countA; place++) if ((ranks[order[place] ?? -1] ?? countB) < countB) both++;
  return { both, either: countA + countB - both };
}

/** The Jaccard index; NaN for two empty selections. */
export const jaccard = ({ both, either }: Overlap): number => (either === 0 ? Number.NaN : both / either);

/** The approximate Jaccard index of two independent random selections of these sizes. */
export function jaccardByChance(countA: number, countB: number, rows: number): number {
  const both = (countA * countB) / rows;
  return both / (countA + countB - both);
}

export interface OverlapParams {
  readonly module: string;
  readonly rows: number;
  readonly counts: { readonly a: number; readonly b: number };
  readonly choice: Choice;
  readonly a: SetScores;
  readonly b: SetScores;
  readonly trained: { readonly a: TrainedRows; readonly b: TrainedRows };
}

/** Returns undefined if the scores of either set are missing. */
export function cellOverlap({ module, rows, counts, choice, a, b, trained }: OverlapParams): Overlap | undefined {
  if (choice.kind === 'trained') {
    const [rowsA, rowsB] = [trained.a.get(module), trained.b.get(module)];
    return rowsA && rowsB && overlapOf(rowsA, rowsB, rows);
  }
  const [cellA, cellB] = [a.get(module), b.get(module)];
  if (!cellA || !cellB || cellA.scores.length !== cellB.scores.length) return undefined;
  return overlapOfTops(cellA, counts.a, cellB, counts.b);
}
