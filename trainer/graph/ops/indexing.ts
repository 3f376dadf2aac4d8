/** Operations that pick or sum by index. */
import type { GraphBuilder } from '../graph-builder.ts';
import type { Node } from '../node-store.ts';
import { inputsOf } from '../node-store.ts';
import type { OpTable } from '../op-rule.ts';
import { elementCount, GraphError, type TensorSpec } from '../types.ts';

function pair(inputs: readonly TensorSpec[]): [TensorSpec, TensorSpec] {
  const [data, ids] = inputs;
  if (!data || !ids) throw new GraphError('an input is missing');
  if (ids.dtype !== 'int32') throw new GraphError('indices must be int32');
  return [data, ids];
}

export const indexingRules: Pick<OpTable, 'gather' | 'segmentSum' | 'oneHot'> = {
  gather: {
    infer: (inputs, { axis }) => {
      const [data, ids] = pair(inputs);
      return { shape: [...data.shape.slice(0, axis), ...ids.shape, ...data.shape.slice(axis + 1)], dtype: data.dtype };
    },
    // Entries picked twice accumulate both gradients. Any axis but the first is moved to the front and back.
    gradient: ({ graph, dy, node, rows }) => {
      const [data, ids] = inputsOf(node, 2);
      const { axis, padding } = node.attrs;
      const count = data.shape[axis] as number;
      const flatIds = idsWithout(graph, graph.reshape(ids, [elementCount(ids.shape)]), padding);
      const chosen = rows(0);
      if (chosen && axis === 0) {
        const flat = graph.reshape(dy, [elementCount(ids.shape), ...data.shape.slice(1)]);
        return [rowSum(graph, flat, flatIds, chosen)];
      }
      const inner = [...data.shape.slice(0, axis), elementCount(ids.shape), ...data.shape.slice(axis + 1)];
      const order = [axis, ...inner.map((_, i) => i).filter(i => i !== axis)];
      const front = graph.transpose(graph.reshape(dy, inner), order);
      const sum = graph.segmentSum(front, flatIds, count);
      return [
        graph.transpose(
          sum,
          order.map((_, i) => order.indexOf(i)),
        ),
      ];
    },
    flops: () => 0,
    buffer: 'fresh',
    rowAware: [0],
  },
  segmentSum: {
    infer: (inputs, { count }) => {
      const [data, ids] = pair(inputs);
      if (ids.shape.length !== 1 || ids.shape[0] !== data.shape[0]) throw new GraphError('one id a row is needed');
      return { shape: [count, ...data.shape.slice(1)], dtype: data.dtype };
    },
    // A dropped row (an id below 0) gets no gradient.
    gradient: ({ graph, dy, node, value }) => {
      const ids = value(inputsOf(node, 2)[1]);
      const kept = graph.cast(graph.greaterEqual(ids, 0), dy.dtype);
      const mask = graph.reshape(kept, [ids.shape[0] as number, ...dy.shape.slice(1).map(() => 1)]);
      return [graph.mul(graph.gather(dy, graph.maximum(ids, 0)), mask), undefined];
    },
    flops: ([data]) => elementCount(data?.shape ?? []),
    buffer: 'fresh',
  },
  oneHot: {
    infer: ([ids], { depth }) => {
      if (ids?.dtype !== 'int32') throw new GraphError('indices must be int32');
      return { shape: [...ids.shape, depth], dtype: 'float32' };
    },
    gradient: null,
    flops: (_, output) => elementCount(output.shape),
    buffer: 'fresh',
  },
};

/**
 * Returns the ids with −1, which matches no entry, wherever the entry `padding` is looked up.
 * @param lookedUp the ids to compare with `padding`, if they differ from `ids`
 */
export function idsWithout(graph: GraphBuilder, ids: Node, padding: number | undefined, lookedUp = ids): Node {
  if (padding === undefined) return ids;
  return graph.select(graph.equal(lookedUp, graph.scalar(padding, 'int32')), graph.scalar(-1, 'int32'), ids);
}

/** Gradient of the chosen rows of an embedding: (rows = ids)·dy, a product of [r, n] and [n, d] that never forms [vocabulary, d]. */
export function rowSum(graph: GraphBuilder, dy: Node, ids: Node, rows: Node): Node {
  const n = ids.shape[0] as number;
  const r = rows.shape[0] as number;
  const width = elementCount(dy.shape.slice(1));
  const hit = graph.cast(graph.equal(graph.reshape(rows, [r, 1]), graph.reshape(ids, [1, n])), dy.dtype);
  return graph.reshape(graph.matmul(hit, graph.reshape(dy, [n, width])), [r, ...dy.shape.slice(1)]);
}
