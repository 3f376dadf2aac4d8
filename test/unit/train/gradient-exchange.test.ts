/** Tests gradients that are summed over processes: small ones together, each once, in order, and returned in their own shapes. */
import { expect, test } from 'vitest';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { elementCount } from '../../../trainer/graph/types.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { type BegunSum, GradientExchange, type GroupGradient, largestSum } from '../../../trainer/train/gradient-exchange.ts';
import { runGraph } from '../graph/run-graph.ts';

const PARTS = { count: 2, own: 0 };
const [SMALL, FULL] = [2 ** 16, 2 ** 18];

/** Sums gradients of these shapes, in the order in which they start. */
function exchangeOf(shapes: readonly (readonly number[])[]) {
  const graph = new Graph(PARTS);
  const gradients = shapes.map((shape, i) => ({
    group: { name: `w${i}`, members: [], shape },
    gradient: graph.feed(`g${i}`, [...shape]),
  }));
  const exchange = new GradientExchange<GroupGradient>(graph, undefined);
  const begun = [...gradients.map(each => exchange.add(each)), exchange.flush()].filter(sum => sum !== undefined);
  return { graph, gradients, exchange, begun };
}

const namesOf = ({ members }: BegunSum<GroupGradient>): string[] => members.map(({ group }) => group.name);
const sizeOf = ({ sum }: BegunSum<GroupGradient>): number => elementCount(sum.shape);

test('large gradients leave alone and at once; small ones wait for each other', () => {
  const { begun, gradients } = exchangeOf([[8], [SMALL], [4, 2], [SMALL * 3], [3]]);
  expect(begun.map(namesOf)).toEqual([['w1'], ['w3'], ['w0', 'w2', 'w4']]);
  expect(begun.map(sizeOf)).toEqual([SMALL, SMALL * 3, 19]);
  // A large gradient is not copied.
  expect(elementAt(begun, 0).sum.inputs[0]).toBe(gradients[1]?.gradient);
});

test('small gradients leave when there are enough of them', () => {
  const shapes = Array.from({ length: 20 }, () => [SMALL / 2]);
  const { begun } = exchangeOf(shapes);
  expect(begun.map(sizeOf)).toEqual([FULL, FULL, SMALL * 2]);
  expect(begun.flatMap(namesOf)).toEqual(shapes.map((_, i) => `w${i}`));
});

test('no sum is larger than the buffers that the estimate counts', () => {
  const cases = [
    [[8], [3]],
    [[SMALL - 1], [SMALL - 1], [SMALL - 1], [SMALL - 1], [SMALL - 1], [SMALL - 1]],
    [[FULL * 2], [5]],
  ];
  for (const shapes of cases) {
    const { begun } = exchangeOf(shapes);
    const largest = largestSum(shapes.map((shape, i) => ({ name: `w${i}`, members: [], shape })));
    expect(Math.max(...begun.map(sizeOf))).toBeLessThanOrEqual(largest);
  }
});

test('each gradient comes back as it was given, where one process gives all', async () => {
  const shapes = [[2, 3], [4], [], [1, 2, 2]];
  const { graph, exchange, begun } = exchangeOf(shapes);
  const outputs: Record<string, Node> = {};
  for (const sum of begun) for (const { group, gradient } of exchange.finish(sum)) outputs[group.name] = gradient;
  const feeds = Object.fromEntries(
    shapes.map((shape, i) => [`g${i}`, Float32Array.from({ length: elementCount(shape) }, (_, j) => 10 * i + j)]),
  );
  const found = await runGraph({ graph, outputs, effects: [] }, feeds);
  for (const [i, shape] of shapes.entries()) {
    expect(outputs[`w${i}`]?.shape).toEqual(shape);
    expect([...(found[`w${i}`] ?? [])]).toEqual([...(feeds[`g${i}`] ?? [])]);
  }
});
