/**
 * The learning-rate range test (Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3): the rate of a short run
 * rises exponentially, and the loss curve shows which rates work.
 */
import { elementAt } from '../narrow.ts';

export interface RatePoint {
  readonly learningRate: number;
  /** Mean loss of the batch before its update. */
  readonly loss: number;
  /** Exponentially weighted mean of the losses so far, bias-corrected as in Adam. */
  readonly smoothed: number;
}

export interface RateSuggestion {
  /** The rate at which the smoothed loss falls fastest per factor of the rate, like fastai's `steep`. */
  readonly steepest: number;
  /** A tenth of the rate with the lowest smoothed loss: a bound that is rarely too low. */
  readonly tenthOfMinimum: number;
}

/** Weight of earlier losses: averages about 20 updates, a fifth of the default length. */
const SMOOTHING = 0.95;
/** fastai's threshold: a smoothed loss this many times the lowest one means that the run has diverged. */
const DIVERGED = 4;
/** Share of the points at the start that are skipped, since their mean is not yet stable. */
const SKIPPED_SHARE = 0.1;

/** @param index from 0 to steps − 1 */
export const rateAt = (
  { min, max, steps }: { readonly min: number; readonly max: number; readonly steps: number },
  index: number,
): number => min * (max / min) ** (index / Math.max(1, steps - 1));

export class RateCurve {
  readonly points: RatePoint[] = [];
  private mean = 0;

  /** @returns true if the loss has diverged, so that higher rates are of no interest */
  add(learningRate: number, loss: number): boolean {
    if (!Number.isFinite(loss)) return true;
    this.mean = SMOOTHING * this.mean + (1 - SMOOTHING) * loss;
    const smoothed = this.mean / (1 - SMOOTHING ** (this.points.length + 1));
    this.points.push({ learningRate, loss, smoothed });
    return smoothed > DIVERGED * Math.min(...this.points.map(point => point.smoothed));
  }
}

/** Suggests rates; undefined if the loss never falls. */
export function suggestRate(points: readonly RatePoint[]): RateSuggestion | undefined {
  const from = Math.floor(SKIPPED_SHARE * points.length);
  const lowest = points.reduce((best, { smoothed }, i) => (smoothed < elementAt(points, best).smoothed ? i : best), 0);
  let steepest: { readonly slope: number; readonly rate: number } | undefined;
  for (let i = Math.max(1, from); i <= lowest; i++) {
    const [before, now] = [elementAt(points, i - 1), elementAt(points, i)];
    const slope = (now.smoothed - before.smoothed) / Math.log(now.learningRate / before.learningRate);
    if (slope < (steepest?.slope ?? 0)) steepest = { slope, rate: now.learningRate };
  }
  if (steepest === undefined) return undefined;
  return { steepest: steepest.rate, tenthOfMinimum: elementAt(points, lowest).learningRate / 10 };
}
