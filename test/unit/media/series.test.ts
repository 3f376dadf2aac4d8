/** Tests curves: history, smoothing, and reducing 100,000 points to a chart of a few hundred pixels. */
import { describe, expect, test } from 'vitest';
import { axisLabels } from '../../../media/shared/series/axis-labels.ts';
import { lineStyle } from '../../../media/shared/series/curve-look.ts';
import { dotsHaveRoom, valuesIn } from '../../../media/shared/series/dots.ts';
import { MetricHistory, type Points } from '../../../media/shared/series/metric-history.ts';
import { lastAtMost, Numbers, nearest } from '../../../media/shared/series/numbers.ts';
import { everyX, nearestX, valueNear } from '../../../media/shared/series/points-at.ts';
import { resample } from '../../../media/shared/series/resample.ts';
import { smooth, smoothingWeight } from '../../../media/shared/series/smooth.ts';
import { compact } from '../../../trainer/protocol/text/format.ts';
import { editorThemes } from '../../support/pages/theme-colors.ts';

const points = (x: readonly number[], y: readonly number[]): Points => ({ x: Float64Array.from(x), y: Float64Array.from(y) });

test('dots are drawn while they do not touch', () => {
  expect([1, 6, 21, 22, 300].map(count => dotsHaveRoom(count, 6, 250))).toEqual([true, true, true, false, false]);
  expect(dotsHaveRoom(1, 6, 0)).toBe(true);
  expect(valuesIn([1, null, 3, undefined, 5])).toBe(3);
  expect(valuesIn([1, null, 3, undefined, 5], 1, 3)).toBe(1);
});

test.each(['hc-dark', 'hc-light'] as const)('a raw curve has a contrast of at least 3 to 1 in %s', name => {
  const { colors } = editorThemes[name];
  const background = channels(colors['editor-background']);
  const { width, alpha } = lineStyle(true, true);
  for (const color of ['blue', 'red', 'green', 'purple', 'yellow']) {
    const drawn = channels(colors[`charts-${color}`]).map((value, i) => value * alpha + (background[i] ?? 0) * (1 - alpha));
    const [low = 0, high = 0] = [luminance(drawn), luminance(background)].sort((a, b) => a - b);
    expect((high + 0.05) / (low + 0.05), color).toBeGreaterThanOrEqual(3);
  }
  expect(lineStyle(false, true).width).toBeGreaterThan(2 * width);
});

/** The red, green and blue of a color such as #59a4f9, from 0 to 1. */
const channels = (color = ''): number[] => [1, 3, 5].map(at => Number.parseInt(color.slice(at, at + 2), 16) / 255);

/** The relative luminance of WCAG 2. */
function luminance(color: readonly number[]): number {
  const [r = 0, g = 0, b = 0] = color.map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

describe('numbers', () => {
  test('grow without losing values', () => {
    const numbers = new Numbers();
    for (let i = 0; i < 5000; i++) numbers.push(i * i);
    expect([numbers.length, numbers.at(4999), numbers.at(5000), numbers.view().at(-1)]).toEqual([5000, 4999 ** 2, Number.NaN, 4999 ** 2]);
  });

  test.each([
    [-1, -1, 0],
    [0, 0, 0],
    [1.4, 0, 0],
    [1.6, 0, 1],
    [3, 1, 1],
    [99, 2, 2],
  ])('where %d lies in 0, 3, 7', (x, below, near) => {
    expect([lastAtMost([0, 3, 7], x), nearest([0, 3, 7], x)]).toEqual([below, near]);
  });

  test('an empty series has no nearest point', () => expect([lastAtMost([], 1), nearest([], 1)]).toEqual([-1, -1]));
});

describe('curves with points of their own', () => {
  const long = points([1, 2, 3, 4], [9, 8, 7, 6]);
  const late = points([10, 20, 30], [3, 2, 1]);

  test('each point can be pointed at, and walked to', () => {
    expect([0, 3.4, 6, 8, 99].map(at => nearestX([long, late], at))).toEqual([1, 3, 4, 10, 30]);
    expect(nearestX([], 1)).toBeUndefined();
    expect([...everyX([long, late, long])]).toEqual([1, 2, 3, 4, 10, 20, 30]);
  });

  test('a curve that has ended or not begun has no value there', () => {
    expect([undefined, 2.2, 5, 6].map(at => valueNear(long, at))).toEqual([6, 8, 6, undefined]);
    expect([-1, 1, 24, 41].map(at => valueNear(late, at))).toEqual([undefined, 3, 2, undefined]);
    expect([valueNear(points([5], [1]), 99), valueNear(points([], []), 1)]).toEqual([1, undefined]);
  });
});

describe('history', () => {
  const lines = (reset: boolean, step: number[], columns: Record<string, (number | null)[]>) => ({
    reset,
    length: step.length,
    columns: { step, ...columns },
  });

  test('a number that comes late has points where it has values', () => {
    const history = new MetricHistory();
    history.append(lines(true, [1, 2], { loss: [3, 2] }));
    history.append(lines(false, [2, 3], { loss: [null, 1], eval_loss: [5, null] }));
    expect(history.points('loss')).toEqual(points([1, 2, 3], [3, 2, 1]));
    expect(history.points('eval_loss')).toEqual(points([2], [5]));
    expect(history.points('no such')).toEqual(points([], []));
    expect([history.last('eval_loss'), history.last('loss'), history.last('no such')]).toEqual([5, 1, undefined]);
    expect(history.row(2)).toEqual({ step: 2, eval_loss: 5, train_seconds: 0 });
  });

  test('curves that were read continue with the lines that follow', () => {
    const history = new MetricHistory();
    for (let i = 0; i < 3000; i++) {
      history.append(lines(i === 0, [i], { loss: [i / 2] }));
      if (i % 100 === 0) expect(history.points('loss').y.at(-1)).toBe(i / 2);
    }
    expect(history.points('loss').x.length).toBe(3000);
  });

  test('a reset leaves nothing of what was before', () => {
    const history = new MetricHistory();
    history.append(lines(true, [1, 2, 3], { loss: [3, 2, 1], extra: [1, 1, 1] }));
    history.points('loss');
    history.append(lines(true, [1], { loss: [9] }));
    expect([history.points('loss'), history.points('extra').x.length, history.length]).toEqual([points([1], [9]), 0, 1]);
    expect(history.generation).toBe(2);
  });

  test('training time adds up the updates between lines; an evaluation takes none of it', () => {
    const history = new MetricHistory();
    history.append(lines(true, [0, 5, 10, 10, 12], { seconds: [null, 2, 1, null, 3], loss: [null, 1, 1, null, 1] }));
    expect([...history.points('loss', 'train_seconds').x]).toEqual([10, 15, 21]);
  });
});

describe('smoothing', () => {
  test('without weight the values stay', () => expect([...smooth(Float64Array.of(3, 1, 2), 0)]).toEqual([3, 1, 2]));

  test('constant values stay constant', () => {
    for (const value of smooth(new Float64Array(50).fill(7), 0.95)) expect(value).toBeCloseTo(7, 12);
  });

  test('is the weighted mean of all values so far', () => {
    const values = [4, 8, 1, 9];
    const weight = 0.6;
    const naive = values.map((_, n) => {
      const weights = values.slice(0, n + 1).map((__, i) => weight ** (n - i));
      return weights.reduce((sum, w, i) => sum + w * (values[i] ?? 0), 0) / weights.reduce((a, b) => a + b);
    });
    for (const [i, value] of smooth(Float64Array.from(values), weight).entries()) expect(value).toBeCloseTo(naive[i] ?? 0, 12);
  });

  test('the slider goes from nothing to almost all', () => {
    expect(smoothingWeight(0)).toBe(0);
    expect(smoothingWeight(1)).toBeCloseTo(0.999, 6);
    expect(smoothingWeight(0.5)).toBeGreaterThan(0.9);
  });
});

describe('resample', () => {
  const x = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

  test('few points are all there, at one x for all curves', () => {
    const { x: xs, ys } = resample([points([0, 2, 4], [1, 2, 3]), points([1, 2], [8, 9])], { min: 0, max: 4 }, 100);
    expect(xs).toEqual([0, 1, 2, 4]);
    expect(ys).toEqual([
      [1, null, 2, 3],
      [null, 8, 9, null],
    ]);
  });

  test('a zoom keeps one neighbor on each side, so that the line leaves the chart in its direction', () => {
    expect(resample([points(x(10), x(10))], { min: 4, max: 6 }, 100).x).toEqual([4, 5, 6, 7]);
    expect(resample([points(x(10), x(10))], { min: 3.5, max: 6.5 }, 100).x).toEqual([3, 4, 5, 6, 7]);
  });

  test('no peak of 100,000 points is lost, and no more than two a pixel remain', () => {
    const y = x(100_000).map(i => Math.sin(i / 5000) + (i === 31_415 ? 50 : i === 27_182 ? -40 : 0));
    const { x: xs, ys } = resample([points(x(100_000), y)], { min: 0, max: 99_999 }, 300);
    const kept = (ys[0] ?? []).filter(value => value !== null);
    expect(xs.length).toBeLessThanOrEqual(2 * 302);
    expect([Math.max(...kept), Math.min(...kept)]).toEqual([Math.max(...y), Math.min(...y)]);
    expect(xs).toEqual([...xs].sort((a, b) => a - b));
    const peak = (ys[0] ?? []).indexOf(Math.max(...kept));
    expect(Math.abs((xs[peak] ?? 0) - 31_415)).toBeLessThan(100_000 / 300);
  });

  test('in each pixel the two extremes come in the order of the points', () => {
    const n = 6000;
    const { ys } = resample([points(x(n), x(n))], { min: 0, max: n - 1 }, 100);
    const kept = (ys[0] ?? []).filter(value => value !== null);
    expect(kept).toEqual([...kept].sort((a, b) => a - b));
    expect([kept[0], kept.at(-1)]).toEqual([0, n - 1]);
  });

  test('curves of other lengths keep their places', () => {
    const long = points(x(10_000), x(10_000));
    const sparse = points([0, 5000, 9999], [1, 2, 3]);
    const { x: xs, ys } = resample([long, sparse], { min: 0, max: 9999 }, 200);
    const at = (ys[1] ?? []).flatMap((value, i) => (value === 2 ? [xs[i] ?? 0] : []));
    expect(at.every(place => Math.abs(place - 5000) < 100)).toBe(true);
  });

  test('an empty range has no points', () => expect(resample([], { min: 0, max: 1 }, 100)).toEqual({ x: [], ys: [] }));
});

describe('labels of an axis', () => {
  test('are written alike around the number where exponents begin', () => {
    expect(axisLabels([0, 0.0005, 0.001, 0.0015], compact)).toEqual(['0', '5e-4', '1e-3', '1.5e-3']);
  });

  test('are those of the format where it writes all alike', () => {
    expect(axisLabels([0, 0.5, null, 1], compact)).toEqual(['0', '0.5', '', '1']);
    expect(axisLabels([0.5, 1], value => `${value} MB`)).toEqual(['0.5 MB', '1 MB']);
  });
});
