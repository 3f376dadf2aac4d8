/** Operations that move elements without computing. */
import { inputsOf } from '../node-store.ts';
import type { OpTable } from '../op-rule.ts';
import { broadcastShapes, elementCount, GraphError, sameShape, type TensorSpec } from '../types.ts';
import { unbroadcast } from './elementwise.ts';

const free = () => 0;

function need(x: TensorSpec | undefined): TensorSpec {
  if (!x) throw new GraphError('an input is missing');
  return x;
}

export const shapeRules: Pick<OpTable, 'reshape' | 'transpose' | 'slice' | 'pad' | 'concat' | 'broadcast'> = {
  reshape: {
    infer: ([x], { shape }) => {
      if (elementCount(need(x).shape) !== elementCount(shape)) throw new GraphError(`cannot become [${shape}]`);
      return { shape, dtype: need(x).dtype };
    },
    gradient: ({ graph, dy, node }) => [graph.reshape(dy, inputsOf(node, 1)[0].shape)],
    flops: free,
    buffer: 'view',
  },
  transpose: {
    infer: ([x], { perm }) => {
      const { shape, dtype } = need(x);
      if (perm.length !== shape.length || new Set(perm).size !== perm.length)
        throw new GraphError(`[${perm}] is not a permutation of its axes`);
      return { shape: perm.map(axis => shape[axis] as number), dtype };
    },
    gradient: ({ graph, dy, node }) => [
      graph.transpose(
        dy,
        node.attrs.perm.map((_, i) => node.attrs.perm.indexOf(i)),
      ),
    ],
    flops: free,
    buffer: 'fresh',
  },
  slice: {
    infer: ([x], { begin, size }) => {
      const { shape, dtype } = need(x);
      const fits =
        size.length === shape.length &&
        size.every((n, i) => n > 0 && (begin[i] as number) >= 0 && (begin[i] as number) + n <= (shape[i] as number));
      if (!fits) throw new GraphError(`begin [${begin}] size [${size}] is outside`);
      return { shape: size, dtype };
    },
    gradient: ({ graph, dy, node }) => {
      const { shape } = inputsOf(node, 1)[0];
      const { begin, size } = node.attrs;
      return [
        graph.pad(
          dy,
          begin,
          shape.map((d, i) => d - (begin[i] as number) - (size[i] as number)),
        ),
      ];
    },
    flops: free,
    buffer: 'fresh',
  },
  pad: {
    infer: ([x], { before, after }) => {
      const { shape, dtype } = need(x);
      if (before.length !== shape.length || after.length !== shape.length) throw new GraphError('padding of another rank');
      return { shape: shape.map((d, i) => d + (before[i] as number) + (after[i] as number)), dtype };
    },
    gradient: ({ graph, dy, node }) => [graph.slice(dy, node.attrs.before, inputsOf(node, 1)[0].shape)],
    flops: free,
    buffer: 'fresh',
  },
  concat: {
    infer: (inputs, { axis }) => {
      const first = need(inputs[0]);
      const alike = inputs.every(
        x =>
          x.dtype === first.dtype && x.shape.length === first.shape.length && x.shape.every((d, i) => i === axis || d === first.shape[i]),
      );
      if (!alike) throw new GraphError(`differ outside axis ${axis}`);
      const total = inputs.reduce((n, x) => n + (x.shape[axis] as number), 0);
      return { shape: first.shape.map((d, i) => (i === axis ? total : d)), dtype: first.dtype };
    },
    gradient: ({ graph, dy, node, wants }) => {
      let begin = 0;
      return node.inputs.map((input, i) => {
        const size = input.shape[node.attrs.axis] as number;
        const part = wants(i) ? graph.sliceAxis(dy, node.attrs.axis, begin, size) : undefined;
        begin += size;
        return part;
      });
    },
    flops: free,
    buffer: 'fresh',
  },
  broadcast: {
    infer: ([x], { shape }) => {
      if (!sameShape(broadcastShapes(need(x).shape, shape), shape)) throw new GraphError(`cannot stretch to [${shape}]`);
      return { shape, dtype: need(x).dtype };
    },
    gradient: ({ graph, dy, node }) => [unbroadcast(graph, dy, inputsOf(node, 1)[0])],
    flops: free,
    buffer: 'fresh',
  },
};
