/** Tests that axes end at round numbers and include every value. */
import { expect, test } from 'vitest';
import { chart, linearTicks, logTicks, scaleOf } from '../../../bench/chart.ts';

test.each([
  [30, 2100, [20, 50, 100, 200, 500, 1000, 2000, 5000]],
  [1, 10, [1, 2, 5, 10]],
  [3, 3, [2, 5]],
  [0.002, 0.004, [0.002, 0.005]],
])('logarithmic ticks around %d to %d', (low, high, expected) => {
  expect(logTicks(low, high).map(tick => Number(tick.toPrecision(6)))).toEqual(expected);
});

test.each([
  [0, 8.1, [0, 2, 4, 6, 8, 10]],
  [0, 0.31, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]],
  [5, 5, [5, 6]],
])('linear ticks around %d to %d', (low, high, expected) => {
  expect(linearTicks(low, high)).toEqual(expected);
});

test('values are placed between the ends, and a value without a logarithm at the smallest', () => {
  const { place, ticks } = scaleOf({ label: '', scale: 'log' }, [10, 1000], [0, 100]);
  expect(ticks[0]).toBe(10);
  expect(place(10)).toBeCloseTo(0);
  expect(place(100)).toBeCloseTo(50);
  expect(place(1000)).toBeCloseTo(100);
  expect(place(-5)).toBeCloseTo(0);
});

test('text is escaped', () => {
  const axis = { label: 'a < b & c', scale: 'linear' } as const;
  const series = { name: '<x>', color: '#000', line: 'solid', hollow: false, points: [{ x: 1, y: 2, marker: 'circle' }] } as const;
  const text = chart({ title: '"t"', panels: [{ title: 'p', x: axis, y: axis, series: [series] }], markers: [] });
  expect(text).toContain('a &lt; b &amp; c');
  expect(text).toContain('&lt;x&gt;');
  expect(text).not.toMatch(/NaN|undefined/);
});
