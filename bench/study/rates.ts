/** The learning rates that an arm tries: the same number for every arm, chosen by the losses on the validation data. Pure. */

/** The result of one learning rate on the validation data. */
export interface RateResult {
  readonly learningRate: number;
  /** Infinite if the run diverged. */
  readonly loss: number;
}

/** Number of rates that every arm tries. */
export const TRIALS = 5;
/** The first rates, half a decade apart, as steps from the starting rate. */
const FIRST = [0, -2, 2];
export const STEPS_PER_DECADE = 4;

/** Returns the rate `steps` quarter decades above `rate` (below it, if negative), with two digits: 0.001, 0.0018, 0.0032, 0.0056. */
export function neighborRate(rate: number, steps: number): number {
  const rung = Math.round(STEPS_PER_DECADE * Math.log10(rate)) + steps;
  return Number((10 ** (rung / STEPS_PER_DECADE)).toPrecision(2));
}

/** Returns the best of the tried rates; the lowest among equal ones. */
export const bestOf = <T extends RateResult>(results: readonly T[]): T | undefined =>
  [...results].sort((a, b) => compare(a.loss, b.loss) || a.learningRate - b.learningRate)[0];

/** Compares losses. Two infinite losses are equal; their difference would be NaN. */
const compare = (a: number, b: number): number => (a === b ? 0 : a - b);

/**
 * Returns the rates to try next, which may run at the same time; none after `TRIALS`. After the first three, the search extends by half a
 * decade if the best rate is at an end. Otherwise, it tries the midpoint between the best rate and the better one of its neighbors.
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

/** Returns the losses at the rates this many steps from the best one, relative to its loss. */
export function ratiosAt(results: readonly RateResult[], steps: number): number[] {
  const best = bestOf(results);
  if (best === undefined) return [];
  const at = [-steps, steps].map(step => neighborRate(best.learningRate, step));
  return results.filter(({ learningRate }) => at.includes(learningRate)).map(({ loss }) => loss / best.loss);
}

/** Returns the loss of the nearest tried rate on one side. */
function lossBeyond(results: readonly RateResult[], rate: number, step: number): number {
  const beyond = results.filter(({ learningRate }) => (learningRate - rate) * step > 0);
  return beyond.sort((a, b) => Math.abs(a.learningRate - rate) - Math.abs(b.learningRate - rate))[0]?.loss ?? Number.POSITIVE_INFINITY;
}

/** Returns the best rate if it is the lowest or highest one tried, and the direction in which to extend the search. */
export function endOfBest(results: readonly RateResult[]): { readonly learningRate: number; readonly step: 1 | -1 } | undefined {
  const best = bestOf(results);
  if (!best) return undefined;
  const { learningRate } = best;
  const rates = results.map(result => result.learningRate);
  if (learningRate === Math.max(...rates)) return { learningRate, step: 1 };
  return learningRate === Math.min(...rates) ? { learningRate, step: -1 } : undefined;
}
