/** Each measure of importance against a naive one; the free row form against the full gradient. */
import { describe, expect, test } from 'vitest';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { magnitude, measureNeeds, randomScores, taylorElementwise, taylorRow } from '../../../trainer/importance/measure.ts';
import { expectClose } from '../../support/closeness.ts';
import { randomNumbers } from '../../support/operation-case.ts';
import { runGraph } from '../graph/run-graph.ts';

const [TOKENS, OUT, IN] = [5, 4, 3] as const;
const numbers = (count: number, seed: number): Float32Array => Float32Array.from(randomNumbers(count, -1, 1, seed));
const values = { weight: numbers(OUT * IN, 1), bias: numbers(OUT, 2) };
const x = numbers(TOKENS * IN, 3);

/** Σ over a row of f(gradient, weight). */
const rowSums = (gradient: readonly number[], f: (g: number, w: number) => number): number[] =>
  Array.from({ length: OUT }, (_, row) =>
    Array.from({ length: IN }, (_, i) => f(gradient[row * IN + i] as number, values.weight[row * IN + i] as number)).reduce(
      (a, b) => a + b,
      0,
    ),
  );

/** A linear layer under Σ tanh(y)²: its gradients and both Taylor scores. */
async function scoresOf(biased: boolean) {
  const graph = new Graph();
  const weight = graph.read({ name: 'weight', shape: [OUT, IN], dtype: 'float32' });
  const product = graph.matmul(graph.feed('x', [TOKENS, IN]), weight, { transposeB: true });
  const bias = biased ? graph.read({ name: 'bias', shape: [OUT], dtype: 'float32' }) : undefined;
  const y = bias ? graph.add(product, bias) : product;
  const loss = graph.sumAll(graph.square(graph.tanh(y)));
  const found = backward(graph, {
    seeds: [{ node: loss, gradient: graph.scalar(1) }],
    wrt: new Map([y, weight].map(node => [node, {}])),
    policy: 'none',
  });
  const gradient = found.get(weight) as Node;
  const outputs = {
    gradient,
    elementwise: taylorElementwise(graph, weight, gradient),
    row: taylorRow(graph, y, found.get(y) as Node, bias),
  };
  return runGraph({ graph, outputs, effects: [] }, { x }, values);
}

describe.each([true, false])('Taylor of a linear layer, bias %s', biased => {
  test('element by element it is Σ_j |g·w|', async () => {
    const { gradient = [], elementwise = [] } = await scoresOf(biased);
    expectClose(
      elementwise,
      rowSums(gradient, (g, w) => Math.abs(g * w)),
      1e-6,
    );
  });

  test('the free form is Σ_j g·w of the full gradient', async () => {
    const { gradient = [], row = [] } = await scoresOf(biased);
    expectClose(
      row,
      rowSums(gradient, (g, w) => g * w),
      1e-6,
    );
  });
});

test('magnitude is the length of each row', () => {
  expectClose(Array.from(magnitude(values.weight, OUT)), rowSums([...values.weight], (_, w) => w * w).map(Math.sqrt), 1e-6);
  expect([...magnitude(Float32Array.of(-3, 2), 2)]).toEqual([3, 2]);
});

test('random scores follow seed and name, and lie in [0, 1)', () => {
  const scores = randomScores('a', 1000, 1);
  expect(randomScores('a', 1000, 1)).toEqual(scores);
  expect(randomScores('a', 1000, 2)).not.toEqual(scores);
  expect(randomScores('b', 1000, 1)).not.toEqual(scores);
  expect(scores.every(score => score >= 0 && score < 1)).toBe(true);
  expect(scores.reduce((a, b) => a + b, 0) / 1000).toBeCloseTo(0.5, 1);
});

test('only the measures that look at gradients need data', () => {
  expect(measureNeeds).toEqual({ magnitude: 'weights', taylor: 'gradients', taylor_row: 'outputs', random: 'nothing' });
});
