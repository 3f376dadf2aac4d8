/** Reductions and softmax. */
import type { Reduction } from '../attributes.ts';
import { inputsOf } from '../node-store.ts';
import type { OpTable } from '../op-rule.ts';
import { elementCount, GraphError, type Shape, type TensorSpec } from '../types.ts';

const reducedShape = (shape: Shape, { axes, keepDims }: Reduction): number[] =>
  keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i));

function reduce([x]: readonly TensorSpec[], attrs: Reduction): TensorSpec {
  if (!x) throw new GraphError('an input is missing');
  return { shape: reducedShape(x.shape, attrs), dtype: x.dtype };
}

const flops = ([x]: readonly TensorSpec[]): number => elementCount(x?.shape ?? []);

export const reductionRules: Pick<OpTable, 'sum' | 'max' | 'argmax' | 'softmax'> = {
  sum: {
    infer: reduce,
    gradient: ({ graph, dy, node }) => {
      const x = inputsOf(node, 1)[0];
      return [graph.broadcast(graph.reshape(dy, reducedShape(x.shape, { axes: node.attrs.axes, keepDims: true })), x.shape)];
    },
    flops,
    buffer: 'fresh',
  },
  // The gradient is divided equally among all entries that attain the maximum.
  max: {
    infer: reduce,
    gradient: ({ graph, dy, node, value }) => {
      const x = inputsOf(node, 1)[0];
      const kept = reducedShape(x.shape, { axes: node.attrs.axes, keepDims: true });
      const hit = graph.cast(graph.equal(value(x), graph.reshape(value(node), kept)), 'float32');
      return [graph.mul(hit, graph.div(graph.reshape(dy, kept), graph.sum(hit, node.attrs.axes, true)))];
    },
    flops,
    buffer: 'fresh',
  },
  argmax: {
    infer: ([x], { axis }) => ({ shape: reducedShape(x?.shape ?? [], { axes: [axis], keepDims: false }), dtype: 'int32' }),
    gradient: null,
    flops,
    buffer: 'fresh',
  },
  // dx = y · (dy − Σ dy·y)
  softmax: {
    infer: ([x]) => {
      if (!x || x.shape.length === 0) throw new GraphError('softmax needs an axis');
      return { shape: x.shape, dtype: x.dtype };
    },
    gradient: ({ graph, dy, node, value }) => {
      const y = value(node);
      return [graph.mul(y, graph.sub(dy, graph.sum(graph.mul(dy, y), [-1], true)))];
    },
    flops: inputs => 14 * flops(inputs),
    buffer: 'reuse',
  },
};
