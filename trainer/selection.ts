/** Which rows of which layers are trained: from scores and a budget to plain data. Pure, and the same for the same scores. */
import type { ModuleSpec } from './model/model-spec.ts';

/** Module name → its chosen rows, ascending. */
export type Selection = ReadonlyMap<string, Int32Array>;

/** What a budget has to know of a module. */
export type RowsOf = Pick<ModuleSpec, 'name' | 'weight' | 'bias'>;

/** Module name → one score a row. */
export type Scores = ReadonlyMap<string, Float32Array>;

/** Rows a layer, or the share of each layer's rows, which is the share of its parameters too. */
export type Budget = { readonly r: number } | { readonly ratio: number };

/** per_layer: rows compete within their layer. global: with those of all layers, for as many parameters. */
export type SelectionMode = 'per_layer' | 'global';

/** A budget that the model cannot meet: which layers, how many rows they have. */
export class SelectionError extends Error {
  override name = 'SelectionError';
}

/** Rows of a module that a budget pays for; at least one. */
export function rowBudget(module: RowsOf, budget: Budget): number {
  const rows = module.weight.shape[0] as number;
  return 'r' in budget ? budget.r : Math.max(1, Math.round(budget.ratio * rows));
}

/** Trainable numbers of one row, its bias entry included. */
export const rowParameters = ({ weight, bias }: RowsOf): number => weight.shape.slice(1).reduce((n, d) => n * d, 1) + (bias ? 1 : 0);

/**
 * The highest-scoring rows of each module; of equal scores the lower row comes first.
 * @throws SelectionError where a layer has fewer rows than the budget, naming all such layers, or where a score is missing or not finite
 */
export function selectRows(modules: readonly RowsOf[], scores: Scores, budget: Budget, mode: SelectionMode = 'per_layer'): Selection {
  checkBudget(modules, budget);
  if (mode === 'global') return selectGlobally(modules, scores, budget);
  return new Map(modules.map(module => [module.name, topRows(scoresOf(module, scores), rowBudget(module, budget))]));
}

/**
 * Ranks the rows of all modules by score over the mean score of their module, since the scores of layers differ by orders of magnitude,
 * and takes them in this order until the next would exceed what `per_layer` trains. Every module keeps its best row whatever its rank: a
 * layer without rows would have nothing to learn with. Of equal ranks the earlier module, then the lower row comes first.
 */
function selectGlobally(modules: readonly RowsOf[], scores: Scores, budget: Budget): Selection {
  const costs = modules.map(rowParameters);
  const orders = modules.map(module => rowOrder(scoresOf(module, scores)));
  const taken = modules.map(() => 1);
  let left = modules.reduce((sum, module, i) => sum + (costs[i] as number) * (rowBudget(module, budget) - 1), 0);
  const ranked = modules.flatMap((module, i) => {
    const values = scores.get(module.name) as Float32Array;
    const mean = values.reduce((a, b) => a + b, 0) / values.length || 1;
    return Array.from((orders[i] as Int32Array).subarray(1), row => ({ i, rank: (values[row] as number) / mean }));
  });
  // A stable sort keeps the order of modules and, within one, of rows.
  for (const { i } of ranked.sort((a, b) => b.rank - a.rank)) {
    left -= costs[i] as number;
    if (left < 0) break;
    taken[i] = (taken[i] as number) + 1;
  }
  return new Map(modules.map(({ name }, i) => [name, (orders[i] as Int32Array).slice(0, taken[i]).sort()]));
}

/**
 * As many rows as the budget pays for, whichever they are: enough to know sizes.
 * @throws SelectionError where a layer has fewer rows than the budget
 */
export function firstRows(modules: readonly RowsOf[], budget: Budget): Selection {
  checkBudget(modules, budget);
  return new Map(modules.map(module => [module.name, Int32Array.from({ length: rowBudget(module, budget) }, (_, i) => i)]));
}

/** @throws SelectionError that names the layers with fewer rows than the budget */
export function checkBudget(modules: readonly RowsOf[], budget: Budget): void {
  const small = modules.filter(module => rowBudget(module, budget) > (module.weight.shape[0] as number));
  if (small.length > 0 && 'r' in budget) {
    const fewest = Math.min(...small.map(module => module.weight.shape[0] as number));
    const shown = small.slice(0, 3).map(module => `${module.name} (${module.weight.shape[0]} rows)`);
    throw new SelectionError(
      `r ${budget.r} is above the rows of ${small.length} layers: ${shown.join(', ')}${small.length > 3 ? ', …' : ''}; set r to ${fewest} or less, leave these layers out of target_modules, or give a ratio`,
    );
  }
}

function scoresOf(module: RowsOf, scores: Scores): Float32Array {
  const found = scores.get(module.name);
  if (!found) throw new SelectionError(`there is no importance score for ${module.name}; compute the importance of this model again`);
  if (found.length !== module.weight.shape[0])
    throw new SelectionError(
      `${module.name} has ${module.weight.shape[0]} rows but ${found.length} scores; the scores belong to another model`,
    );
  const bad = found.findIndex(score => !Number.isFinite(score));
  if (bad >= 0) throw new SelectionError(`the score of row ${bad} of ${module.name} is ${found[bad]}; compute the importance again`);
  return found;
}

/** The r rows of highest score, ascending by row. */
export const topRows = (scores: Float32Array, r: number): Int32Array => rowOrder(scores).slice(0, r).sort();

/** Rows that one key can carry beside a score: 32 + 21 bits are what a double holds exactly. */
const MAX_KEYED_ROWS = 2 ** 21;

/**
 * All rows, the highest score first; of equal scores the lower row comes first. Score and row are sorted as one number, which takes a
 * tenth of the time of a comparing function.
 * @param scores [rows], none of them NaN
 */
export function rowOrder(scores: Float32Array): Int32Array {
  if (scores.length > MAX_KEYED_ROWS)
    return Int32Array.from(scores, (_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const bits = new Uint32Array(Float32Array.from(scores, score => score + 0).buffer);
  const keys = Float64Array.from(bits, (b, row) => descending(b) * MAX_KEYED_ROWS + row);
  return Int32Array.from(keys.sort(), key => key % MAX_KEYED_ROWS);
}

/** The bits of a float32 as a number that falls where the float rises. */
const descending = (bits: number): number => (bits >= 0x80000000 ? bits : 0x7fffffff - bits);
