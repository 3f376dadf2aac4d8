/** Tests the learning-rate range test on curves with a known answer. */
import { describe, expect, test } from 'vitest';
import { textChart } from '../../../trainer/cli/show/text-chart.ts';
import { RateCurve, rateAt, suggestRate } from '../../../trainer/train/rate-range.ts';

const range = { min: 1e-6, max: 1, steps: 121 };

/** @param lossAt returns the loss for the exponent of the rate */
function curveOf(lossAt: (exponent: number) => number): RateCurve & { readonly stoppedAt: number } {
  const curve = new RateCurve();
  for (let i = 0; i < range.steps; i++) {
    const rate = rateAt(range, i);
    if (curve.add(rate, lossAt(Math.log10(rate)))) return Object.assign(curve, { stoppedAt: rate });
  }
  return Object.assign(curve, { stoppedAt: Number.NaN });
}

describe('range test', () => {
  test('rates rise by the same factor, from the lowest to the highest', () => {
    const rates = Array.from({ length: range.steps }, (_, i) => rateAt(range, i));
    expect(rates[0]).toBe(1e-6);
    expect(rates.at(-1)).toBeCloseTo(1, 12);
    for (const [i, rate] of rates.slice(1).entries()) expect(rate / (rates[i] as number)).toBeCloseTo(10 ** 0.05, 10);
  });

  test('the suggestion is where a smooth curve falls fastest, up to the lag of the mean', () => {
    // A logistic decrease around 1e-3, then a steep increase from 1e-1.
    const { points, stoppedAt } = curveOf(x => 1 + 2 / (1 + Math.exp(6 * (x + 3))) + Math.exp(12 * (x + 1)));
    const found = suggestRate(points);
    expect(found?.steepest).toBeGreaterThan(1e-3);
    // The mean lags by 20 updates of 0.05 decades.
    expect(found?.steepest).toBeLessThan(1e-2);
    expect(found?.tenthOfMinimum).toBeLessThan(1e-1);
    expect(stoppedAt).toBeGreaterThan(0.1);
    expect(stoppedAt).toBeLessThan(1);
  });

  test('the first mean is the first loss; a loss that is not finite ends the curve', () => {
    const curve = new RateCurve();
    curve.add(1e-6, 3);
    expect(curve.points[0]?.smoothed).toBeCloseTo(3, 12);
    expect(curve.add(1e-5, Number.NaN)).toBe(true);
    expect(curve.points).toHaveLength(1);
  });

  test('a loss that only rises gives no suggestion', () => {
    expect(suggestRate(curveOf(x => x + 10).points)).toBeUndefined();
  });
});

test('a chart has its extremes at its edges and the mark in its column', () => {
  const points = [1e-4, 1e-3, 1e-2].map((x, i) => ({ x, y: [3, 1, 2][i] as number }));
  expect(textChart({ points, width: 9, height: 3, logX: true, markX: 1e-3 }).split('\n')).toEqual([
    '3 │•   :',
    '2 │    :   •',
    '1 │    •',
    '  └─────────',
    '   1e-4 0.01',
  ]);
});
