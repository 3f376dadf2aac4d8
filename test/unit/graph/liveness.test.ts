/** Compares liveness with small cases worked out by hand; a float32 [4] takes 16 bytes. */
import { describe, expect, test } from 'vitest';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { type BufferRules, COMPILED_BUFFERS, type Liveness, liveness, nodesFlops } from '../../../trainer/graph/liveness.ts';
import type { Signature } from '../../../trainer/graph/program.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';

function built(build: (graph: Graph, x: Node) => Readonly<Record<string, Node>>): Signature {
  const graph = new Graph();
  const outputs = build(graph, graph.feed('x', [4]));
  return signatureOf({ graph, outputs, effects: [] });
}

const livenessOf = (signature: Signature): Liveness => liveness(signature, singleSteps(signature));

/** Returns the bytes at each position of the schedule. */
const bytes = (build: Parameters<typeof built>[0]): number[] => [...livenessOf(built(build)).bytes];

/** Returns the same with rules that differ from TensorFlow's. */
const bytesBy = (rules: Partial<BufferRules>, build: Parameters<typeof built>[0]): number[] => {
  const signature = built(build);
  return [...liveness(signature, singleSteps(signature), { ...COMPILED_BUFFERS, ...rules }).bytes];
};

describe('a compiler that orders and packs by itself', () => {
  const chain = (g: Graph, x: Node) => ({ y: g.exp(g.sum(g.neg(x), [0])) });

  test('has some buffers from the first step on', () => {
    expect(bytes(chain)).toEqual([16, 16, 20, 4]);
    expect(bytesBy({ isAllocatedAtStart: ({ op }) => op === 'sum' }, chain)).toEqual([20, 20, 20, 4]);
  });

  test('is asked with the readers of a buffer', () => {
    const seen: string[] = [];
    const isAllocatedAtStart: BufferRules['isAllocatedAtStart'] = ({ op }, readers) => {
      seen.push(`${op}: ${readers.map(reader => reader.op).join(', ')}`);
      return false;
    };
    bytesBy({ isAllocatedAtStart }, chain);
    expect(seen).toEqual(['feed: neg', 'neg: sum', 'sum: exp', 'exp: ']);
  });

  test('has copies from the first step to their last use, each once', () => {
    const copiesAtStart: BufferRules['copiesAtStart'] = ({ op }) => (op === 'feed' ? [] : [{ name: op === 'exp' ? 'b' : 'a', bytes: 50 }]);
    expect(bytesBy({ copiesAtStart }, chain)).toEqual([116, 116, 120, 54]);
  });

  test('leaves a hole of the largest buffer of the forward pass', () =>
    expect(bytesBy({ packs: 'hole' }, chain)).toEqual([32, 32, 36, 20]));
});

describe('spans of buffers', () => {
  const rules: BufferRules = {
    ...COMPILED_BUFFERS,
    isAllocatedAtStart: ({ op }) => op === 'sum',
    copiesAtStart: ({ op }) => (op === 'exp' ? [{ name: 'copy', bytes: 50 }] : []),
    scratchBytes: ({ op }) => (op === 'matmul' ? 7 : 0),
  };

  test('add up to what is alive at each step', () => {
    const signature = built((g, x) => {
      const square = g.reshape(x, [2, 2]);
      const product = g.matmul(g.neg(square), g.exp(square));
      return { y: g.mul(g.add(product, square), g.sum(product, [0], true)), z: g.exp(g.reshape(product, [4])) };
    });
    const steps = singleSteps(signature);
    const { spans: spansOf, bytes } = liveness(signature, steps, rules);
    const spans = spansOf();
    const sums = steps.map((_, i) => spans.filter(({ first, last }) => first <= i && i <= last).reduce((sum, { bytes }) => sum + bytes, 0));
    expect(sums).toEqual([...bytes]);
  });

  test('are one where an operation works in the buffer of its input', () => {
    const signature = built((g, x) => ({ y: g.exp(g.neg(x)) }));
    expect(livenessOf(signature).spans()).toEqual([{ bytes: 16, first: 0, last: 3 }]);
  });
});

describe('bytes at each place', () => {
  test('a chain of element-wise operations works in one buffer', () =>
    expect(bytes((g, x) => ({ y: g.exp(g.neg(x)) }))).toEqual([16, 16, 16]));

  test('an input that is needed again is not taken over', () => expect(bytes((g, x) => ({ y: g.add(g.neg(x), x) }))).toEqual([16, 32, 32]));

  test('a fresh operation needs input and output at once', () =>
    expect(bytes((g, x) => ({ y: g.slice(g.transpose(g.reshape(x, [2, 2]), [1, 0]), [0, 0], [1, 2]) }))).toEqual([16, 16, 32, 24]));

  test('a view keeps its source alive', () => {
    // x, view, −view over x's buffer, then a sum of 4 bytes next to it.
    expect(bytes((g, x) => ({ y: g.sumAll(g.neg(g.reshape(x, [2, 2]))) }))).toEqual([16, 16, 16, 20]);
    // The source is read through the view after its own last reader.
    expect(
      bytes((g, x) => {
        const view = g.reshape(x, [2, 2]);
        const s = g.sumAll(x);
        return { y: g.mul(g.exp(view), s) };
      }),
    ).toEqual([16, 16, 20, 20, 20]);
  });

  test('an output stays to the end, one given through a view too', () => {
    expect(bytes((g, x) => ({ a: g.exp(x), b: g.neg(g.exp(x)) }))).toEqual([16, 16, 32]);
    expect(bytes((g, x) => ({ a: g.reshape(x, [2, 2]), b: g.neg(x) }))).toEqual([16, 16, 32]);
  });

  test('variables and constants live outside', () =>
    expect(bytes((g, x) => ({ y: g.add(g.mul(x, g.read({ name: 'w', shape: [4], dtype: 'float32' })), 2) }))).toEqual([
      16, 16, 16, 16, 16,
    ]));

  test('an input that nobody reads is gone at once', () => {
    const graph = new Graph();
    const x = graph.feed('x', [4]);
    const effect = graph.assign('w', x);
    graph.declare({ name: 'w', shape: [4], dtype: 'float32' });
    const y = graph.feed('y', [2]);
    const run = signatureOf({ graph, outputs: { y: graph.neg(y) }, effects: [effect] });
    // The token of an effect is one byte that is never read.
    expect([...livenessOf(run).bytes]).toEqual([16, 17, 8, 8]);
  });
});

test('the peak is the largest of them, at the first place that has it', () => {
  const { peakBytes, peakAt } = livenessOf(built((g, x) => ({ y: g.sumAll(g.broadcast(g.reshape(x, [4, 1]), [4, 8])) })));
  expect({ peakBytes, peakAt }).toEqual({ peakBytes: 16 + 128, peakAt: 2 });
});

test('an empty signature needs nothing', () => {
  const run = signatureOf({ graph: new Graph(), outputs: {}, effects: [] });
  expect(livenessOf(run)).toMatchObject({ peakBytes: 0, peakAt: 0 });
});

test('a product of [2, 3] and [3, 5] is 60 operations', () => {
  const graph = new Graph();
  const y = graph.matmul(graph.feed('a', [2, 3]), graph.feed('b', [3, 5]));
  const run = signatureOf({ graph, outputs: { y }, effects: [] });
  expect(nodesFlops(run.schedule)).toBe(60);
});
