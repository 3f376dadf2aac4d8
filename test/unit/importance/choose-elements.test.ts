/** Compares the elements of RoSA, those with the largest squared gradients over samples, with a naive count. */
import { describe, expect, test } from 'vitest';
import { chooseElements, largest } from '../../../trainer/importance/choose-elements.ts';
import { openReference } from '../../support/engines.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { modules, passSample, samples, source, task, weights } from './toy-task.ts';

const byValue = (values: ArrayLike<number>, count: number): number[] =>
  Array.from(values, (value, place) => ({ value, place }))
    .sort((a, b) => b.value - a.value || a.place - b.place)
    .slice(0, count)
    .map(({ place }) => place)
    .sort((a, b) => a - b);

describe('the largest numbers', () => {
  const scattered = Float32Array.from(randomNumbers(5000, 0, 1e-3, 4), (value, i) => (i % 3 === 0 ? value : value * 1e5));
  test.each([1, 7, 500, 4999, 5000])('%d of 5000', count => {
    expect([...largest(scattered, count)]).toEqual(byValue(scattered, count));
  });

  test('of equal numbers, the first ones are chosen', () => {
    expect([...largest(Float32Array.of(0, 2, 1, 2, 2, 0), 2)]).toEqual([1, 3]);
    expect([...largest(new Float32Array(6), 4)]).toEqual([0, 1, 2, 3]);
  });
});

test.each([
  ['all modules in one sweep', 1e9],
  ['a sweep for each', 1],
])('the elements of the largest squared gradients, %s', async (_, sweepBytes) => {
  const passes = await Promise.all(samples.map((_, i) => passSample(i)));
  const chosen = await chooseElements({
    modules,
    weights,
    budgetOf: ({ weight }) => Math.ceil(weight.shape.reduce((n, d) => n * d, 1) / 4),
    data: { engine: await openReference(), task, source: source(1), recompute: 'none', exact: false, sweepBytes },
  });
  for (const { name } of modules) {
    const gradients = passes.map(pass => pass.get(name)?.gradient ?? []);
    const sums = (gradients[0] ?? []).map((_, i) => gradients.reduce((sum, gradient) => sum + (gradient[i] as number) ** 2, 0));
    expect([...(chosen.get(name) ?? [])], name).toEqual(byValue(Float32Array.from(sums), Math.ceil(sums.length / 4)));
  }
});
