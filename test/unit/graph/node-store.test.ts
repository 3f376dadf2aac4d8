/** Tests common subexpressions: which are one node, which are two, and how phases separate them. */
import { expect, test } from 'vitest';
import { Graph, inputsOf, isOp } from '../../../trainer/graph/graph.ts';
import { dimensions, GraphError } from '../../../trainer/graph/types.ts';

const w = { name: 'w', shape: [4], dtype: 'float32' as const };

test('the same operation on the same inputs is one node', () => {
  const graph = new Graph();
  const x = graph.feed('x', [4]);
  expect(graph.add(graph.exp(x), 1)).toBe(graph.add(graph.exp(x), 1));
  expect(graph.sum(x, [0])).toBe(graph.sum(x, [-1]));
  expect(graph.read(w)).toBe(graph.read(w));
  expect(graph.feed('x', [4])).toBe(x);
});

test('other attributes, inputs, versions or names are other nodes', () => {
  const graph = new Graph();
  const x = graph.feed('x', [2, 2]);
  const y = graph.feed('y', [2, 2]);
  expect(graph.sum(x, [0])).not.toBe(graph.sum(x, [1]));
  expect(graph.sum(x, [0])).not.toBe(graph.sum(x, [0], true));
  expect(graph.matmul(x, y)).not.toBe(graph.matmul(y, x));
  expect(graph.matmul(x, y)).not.toBe(graph.matmul(x, y, { transposeB: true }));
  expect(graph.read(w)).not.toBe(graph.read(w, 1));
  expect(graph.scalar(1)).not.toBe(graph.scalar(1, 'int32'));
});

test('phases share sources and nothing else, so that a backward pass keeps no forward value unawares', () => {
  const graph = new Graph();
  const x = graph.feed('x', [4]);
  const forward = graph.exp(x);
  graph.within({ phase: 1 }, () => {
    expect(graph.exp(x)).not.toBe(forward);
    expect(graph.exp(x)).toBe(graph.exp(x));
    expect(graph.feed('x', [4])).toBe(x);
    expect(graph.scalar(3)).toBe(graph.scalar(3));
  });
  expect(graph.exp(x)).toBe(forward);
});

test('a recomputed node is always a new one', () => {
  const graph = new Graph();
  const x = graph.feed('x', [4]);
  const kept = graph.exp(x);
  const again = graph.within({ recomputed: true }, () => graph.exp(x));
  expect(again).not.toBe(kept);
  expect(again.recomputed).toBe(true);
});

test('effects are never joined', () => {
  const graph = new Graph();
  const x = graph.feed('x', [4]);
  expect(graph.assignAdd('w', x)).not.toBe(graph.assignAdd('w', x));
});

test('rewrites that cost nothing: a shape as it is, a reshape of a reshape', () => {
  const graph = new Graph();
  const x = graph.feed('x', [2, 3]);
  expect(graph.reshape(x, [2, 3])).toBe(x);
  expect(graph.transpose(x, [0, 1])).toBe(x);
  expect(graph.slice(x, [0, 0], [2, 3])).toBe(x);
  expect(graph.mul(x, 1)).toBe(x);
  const flat = graph.reshape(graph.reshape(x, [6]), [3, 2]);
  expect(flat.inputs).toEqual([x]);
  expect(graph.reshape(flat, [2, 3])).toBe(x);
});

test('an operation that does not fit names itself and its inputs', () => {
  const graph = new Graph();
  const build = () => graph.matmul(graph.feed('a', [2, 3]), graph.feed('b', [2, 3]));
  expect(build).toThrow(GraphError);
  expect(build).toThrow('matmul(float32[2, 3], float32[2, 3]): inner sizes 3 and 2 differ');
});

test('a shape and the inputs of an operation are taken apart only in the number that they have', () => {
  const graph = new Graph();
  const sum = graph.add(graph.feed('a', [2, 3]), graph.feed('b', [2, 3]));
  expect(dimensions(sum.shape, 2)).toEqual([2, 3]);
  expect(() => dimensions(sum.shape, 3)).toThrow('[2,3] does not have 3 dimensions');
  expect(inputsOf(sum, 2)).toBe(sum.inputs);
  expect(() => inputsOf(sum, 3)).toThrow(`add (node ${sum.id}) has fewer than 3 inputs`);
  expect([isOp(sum, 'add'), isOp(sum, 'mul')]).toEqual([true, false]);
});
