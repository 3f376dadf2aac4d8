/** Which learning rates an arm tries: the same number for every arm, chosen by the losses on the validation data. Pure. */

/** The result of one learning rate on the validation data. */
export interface RateResult {
  readonly learningRate: number;
  /** Infinite if the run diverged. */
  readonly loss: number;
}

/** The rates that every arm tries. */
export const TRIALS = 5;
/** The first rates are half a decade apart. */
const FIRST = [0, -2, 2];
export const STEPS_PER_DECADE = 4;

/** The rate `steps` quarters of a decade above `rate` (below, if negative), in two digits: 0.001, 0.0018, 0.0032, 0.0056. */
export function neighborRate(rate: number, steps: number): number {
  const rung = Math.round(STEPS_PER_DECADE * Math.log10(rate)) + steps;
  return Number((10 ** (rung / STEPS_PER_DECADE)).toPrecision(2));
}

/** The best of the tried rates; of equal ones the lowest. */
export const bestOf = <T extends RateResult>(results: readonly T[]): T | undefined =>
  [...results].sort((a, b) => compare(a.loss, b.loss) || a.learningRate - b.learningRate)[0];

/** Two infinite losses are equal; their difference would not be a number. */
const compare = (a: number, b: number): number => (a === b ? 0 : a - b);

/**
 * The rates to try next, which may run at the same time; none after `TRIALS`. After the first three the search goes half a decade on if the
 * best rate is at an end, and otherwise to the untried middle between the best rate and the better one of its neighbors.
 */
export function nextRates(start: number, results: readonly RateResult[]): number[] {
  const isTried = (rate: number): boolean => results.some(({ learningRate }) => learningRate === rate);
  const first = FIRST.map(steps => neighborRate(start, steps)).filter(rate => !isTried(rate));
  if (first.length > 0) return first;
  const best = bestOf(results);
  if (best === undefined || results.length >= TRIALS) return [];
  const end = endOfBest(results);
  if (end !== undefined) return [neighborRate(best.learningRate, 2 * end.step)];
  const beside = [-1, 1].map(step => ({ rate: neighborRate(best.learningRate, step), loss: lossBeyond(results, best.learningRate, step) }));
  const open = beside.filter(({ rate }) => !isTried(rate)).sort((a, b) => compare(a.loss, b.loss));
  return open[0] === undefined ? [] : [open[0].rate];
}

/** The losses at the rates that are this many steps from the best one, relative to its loss. */
export function ratiosAt(results: readonly RateResult[], steps: number): number[] {
  const best = bestOf(results);
  if (best === undefined) return [];
  const at = [-steps, steps].map(step => neighborRate(best.learningRate, step));
  return results.filter(({ learningRate }) => at.includes(learningRate)).map(({ loss }) => loss / best.loss);
}

/** The loss of the nearest tried rate on one side. */
function lossBeyond(results: readonly RateResult[], rate: number, step: number): number {
  const beyond = results.filter(({ learningRate }) => (learningRate - rate) * step > 0);
  return beyond.sort((a, b) => Math.abs(a.learningRate - rate) - Math.abs(b.learningRate - rate))[0]?.loss ?? Number.POSITIVE_INFINITY;
}

/** The best rate if it is the lowest or the highest of those tried, and the direction in which to look further. */
export function endOfBest(results: readonly RateResult[]): { readonly learningRate: number; readonly step: 1 | -1 } | undefined {
  const best = bestOf(results);
  if (!best) return undefined;
  const { learningRate } = best;
  const rates = results.map(result => result.learningRate);
  if (learningRate === Math.max(...rates)) return { learningRate, step: 1 };
  return learningRate === Math.min(...rates) ? { learningRate, step: -1 } : undefined;
}
