/** Which learning rates a family tries: half a decade apart, on from either end for as long as the best one lies there. Pure. */

/** The result of a run with one learning rate on the validation samples. */
export interface RateResult {
  readonly learningRate: number;
  readonly accuracy: number;
  readonly loss: number;
}

/** Three decades; a family whose best rate is still at an end then says so. */
export const MOST_RATES = 7;
const FIRST_RATES = 3;

/** 1, 3, 10, 30 … by powers of ten: `steps` up from a rate of that ladder, or down. */
export function neighborRate(rate: number, steps: number): number {
  const [digit = Number.NaN, exponent = Number.NaN] = rate.toExponential(0).split('e').map(Number);
  const rung = 2 * exponent + (digit === 3 ? 1 : 0) + steps;
  return Number(`${rung % 2 === 0 ? 1 : 3}e${Math.floor(rung / 2)}`);
}

/** That of the best accuracy, of equal ones that of the lower loss; a run that diverged has the accuracy 0 and an infinite loss. */
export const bestOf = <T extends RateResult>(results: readonly T[]): T | undefined =>
  [...results].sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss || a.learningRate - b.learningRate)[0];

/** The next one to try after `results`, from `start` on; undefined where the best lies between others, or enough were tried. */
export function nextRate(start: number, results: readonly RateResult[]): number | undefined {
  if (results.length < FIRST_RATES) return neighborRate(start, results.length);
  if (results.length >= MOST_RATES) return undefined;
  const end = endOfBest(results);
  return end && neighborRate(end.learningRate, end.step);
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
