/** Tests the backward pass: rows, activations, tied weights, what is never computed, and the order of gradients. */
import { describe, expect, test } from 'vitest';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { GraphError } from '../../../trainer/graph/types.ts';
import { elementAt, valueFor } from '../../../trainer/narrow.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { runGraph } from './run-graph.ts';

const numbers = (count: number, seed: number): Float32Array => Float32Array.from(randomNumbers(count, -1, 1, seed));
const variable = (name: string, ...shape: number[]) => ({ name, shape, dtype: 'float32' as const });
const values = { first: numbers(12, 1), second: numbers(16, 2), table: numbers(15, 3) };
const x = numbers(6, 4);

/** x [2, 3] → two layers with a tanh between → Σ y². */
function twoLayers() {
  const graph = new Graph();
  const input = graph.feed('x', [2, 3]);
  const first = graph.read(variable('first', 4, 3));
  const middle = graph.tanh(graph.matmul(input, first, { transposeB: true }));
  const second = graph.read(variable('second', 4, 4));
  const y = graph.matmul(middle, second, { transposeB: true });
  return { graph, input, first, second, middle, seeds: [{ node: y, gradient: graph.mul(y, 2) }] };
}

describe('rows of a weight', () => {
  test.each([[[2]], [[0, 3]], [[3, 1, 2]]])('%j are a gather of the whole gradient', async rows => {
    const whole = twoLayers();
    const all = backward(whole.graph, { seeds: whole.seeds, wrt: new Map([[whole.first, {}]]), policy: 'none' });
    const part = twoLayers();
    const chosen = part.graph.constant(Int32Array.from(rows), [rows.length], 'int32');
    const some = backward(part.graph, { seeds: part.seeds, wrt: new Map([[part.first, { rows: chosen }]]), policy: 'none' });
    const full = await runGraph({ graph: whole.graph, outputs: { g: valueFor(all, whole.first) }, effects: [] }, { x }, values);
    const found = await runGraph({ graph: part.graph, outputs: { g: valueFor(some, part.first) }, effects: [] }, { x }, values);
    const expected = rows.flatMap(row => full.g?.slice(row * 3, row * 3 + 3) ?? []);
    expectClose(found.g ?? [], expected, 1e-6);
    // The whole gradient [4, 3] is never computed.
    expect(part.graph.nodes.filter(node => node.phase === 1 && node.shape.join() === '4,3')).toEqual([]);
  });
});

test('an activation in the middle', async () => {
  const { graph, middle, seeds } = twoLayers();
  const g = valueFor(backward(graph, { seeds, wrt: new Map([[middle, {}]]), policy: 'none' }), middle);
  const found = await runGraph({ graph, outputs: { g, middle, dy: elementAt(seeds, 0).gradient }, effects: [] }, { x }, values);
  const expected = [0, 1].flatMap(i =>
    [0, 1, 2, 3].map(k => [0, 1, 2, 3].reduce((sum, j) => sum + (found.dy?.[i * 4 + j] ?? 0) * (values.second[j * 4 + k] ?? 0), 0)),
  );
  expectClose(found.g ?? [], expected, 1e-6);
});

test('a weight that is used twice gets both gradients: an embedding tied to the head', async () => {
  const build = (tied: boolean) => {
    const graph = new Graph();
    const table = graph.read(variable('table', 5, 3));
    const head = tied ? table : graph.read(variable('head', 5, 3));
    const ids = graph.constant(Int32Array.of(1, 4, 1), [3], 'int32');
    const logits = graph.matmul(graph.gather(table, ids), head, { transposeB: true });
    const seeds = [{ node: logits, gradient: graph.softmax(logits) }];
    return {
      graph,
      table,
      head,
      gradients: backward(graph, { seeds, wrt: new Map([table, head].map(node => [node, {}])), policy: 'none' }),
    };
  };
  const tied = build(true);
  const apart = build(false);
  const one = await runGraph({ graph: tied.graph, outputs: { g: valueFor(tied.gradients, tied.table) }, effects: [] }, {}, values);
  const outputs = { a: valueFor(apart.gradients, apart.table), b: valueFor(apart.gradients, apart.head) };
  const two = await runGraph({ graph: apart.graph, outputs, effects: [] }, {}, { ...values, head: values.table });
  expectClose(
    one.g ?? [],
    (two.a ?? []).map((a, i) => a + (two.b?.[i] ?? 0)),
    1e-6,
  );
});

test('nothing is computed below the lowest node asked for', () => {
  const { graph, second, seeds } = twoLayers();
  const before = graph.nodes.length;
  const found = backward(graph, { seeds, wrt: new Map([[second, {}]]), policy: 'none' });
  expect([...found.keys()]).toEqual([second]);
  // One product: dyᵀ·middle.
  expect(graph.nodes.slice(before).map(node => node.op)).toEqual(['matmul']);
});

test('a node that no seed reaches has no gradient', () => {
  const { graph, first, seeds } = twoLayers();
  const stray = graph.read(variable('stray', 2, 2));
  const found = backward(graph, { seeds, wrt: new Map([first, stray].map(node => [node, {}])), policy: 'none' });
  expect(found.has(first)).toBe(true);
  expect(found.has(stray)).toBe(false);
});

test('gradients are handed over last layer first, before anything below is built', () => {
  const { graph, first, second, seeds } = twoLayers();
  const seen: { node: Node; built: number }[] = [];
  backward(graph, {
    seeds,
    wrt: new Map([first, second].map(node => [node, {}])),
    policy: 'none',
    onReady: node => seen.push({ node, built: graph.nodes.length }),
  });
  expect(seen.map(({ node }) => node)).toEqual([second, first]);
  expect(seen[0]?.built).toBeLessThan(seen[1]?.built ?? 0);
});

test('a seed of another shape is refused', () => {
  const { graph, first, seeds } = twoLayers();
  const wrong = [{ node: elementAt(seeds, 0).node, gradient: graph.scalar(1) }];
  expect(() => backward(graph, { seeds: wrong, wrt: new Map([[first, {}]]), policy: 'none' })).toThrow(GraphError);
});

describe('rows and columns of a weight', () => {
  const [OUT, IN, TOKENS] = [4, 5, 3] as const;
  const feeds = { x: Float32Array.from(randomNumbers(TOKENS * IN, -1, 1, 1)) };
  const own = { w: Float32Array.from(randomNumbers(OUT * IN, -1, 1, 2)) };

  /** Uses W twice, once in a form for which only the whole gradient is available. */
  async function gradients(cross: boolean): Promise<Record<string, number[]>> {
    const graph = new Graph();
    const w = graph.read({ name: 'w', shape: [OUT, IN], dtype: 'float32' });
    const y = graph.tanh(graph.matmul(graph.feed('x', [TOKENS, IN]), w, { transposeB: true }));
    const loss = graph.add(graph.sumAll(graph.square(graph.matmul(y, w))), graph.sumAll(graph.square(w)));
    const places = (...list: number[]) => graph.constant(Int32Array.from(list), [list.length], 'int32');
    const [rows, columns] = [places(1, 3), places(0, 2, 4)];
    const found = backward(graph, {
      seeds: [{ node: loss, gradient: graph.scalar(1) }],
      wrt: new Map([[w, cross ? { cross: { rows, columns } } : {}]]),
      policy: 'none',
    });
    return runGraph({ graph, outputs: { w: valueFor(found, w) }, effects: [] }, feeds, own);
  }

  test('are those of the whole gradient', async () => {
    const { w: whole = [] } = await gradients(false);
    const at = (row: number, column: number): number => whole[row * IN + column] as number;
    const naive = [
      ...[1, 3].flatMap(row => [0, 1, 2, 3, 4].map(column => at(row, column))),
      ...[0, 1, 2, 3].flatMap(row => [0, 2, 4].map(column => at(row, column))),
    ];
    expectClose((await gradients(true)).w ?? [], naive, 1e-5);
  });
});
