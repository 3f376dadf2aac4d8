/** Which rows of which layers are trained: from scores and a budget to plain data. Pure, and the same for the same scores. */
import type { ModuleSpec } from './model/model-spec.ts';

/** Module name → its chosen rows, ascending. */
export type Selection = ReadonlyMap<string, Int32Array>;

/** What a budget has to know of a module. */
export type RowsOf = Pick<ModuleSpec, 'name' | 'weight'>;

/** Module name → one score a row. */
export type Scores = ReadonlyMap<string, Float32Array>;

/** Rows a layer, or the share of each layer's rows. */
export type Budget = { readonly r: number } | { readonly ratio: number };

/** A budget that the model cannot meet: which layers, how many rows they have. */
export class SelectionError extends Error {
  override name = 'SelectionError';
}

/** Rows of a module that a budget pays for; at least one. */
export function rowBudget(module: RowsOf, budget: Budget): number {
  const rows = module.weight.shape[0] as number;
  return 'r' in budget ? budget.r : Math.max(1, Math.round(budget.ratio * rows));
}

/**
 * The highest-scoring rows of each module; of equal scores the lower row comes first.
 * @throws SelectionError where a layer has fewer rows than the budget, naming all such layers, or where a score is missing or not finite
 */
export function selectRows(modules: readonly RowsOf[], scores: Scores, budget: Budget): Selection {
  checkBudget(modules, budget);
  return new Map(modules.map(module => [module.name, topRows(scoresOf(module, scores), rowBudget(module, budget))]));
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
