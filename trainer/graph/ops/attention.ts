/** Attention as one kernel of the device. It has the gradient of a composite, which `GraphBuilder.fusedAttention` sets. */
import type { OpTable } from '../op-rule.ts';
import { dimensions, elementCount, GraphError, sameShape, type TensorSpec } from '../types.ts';

/** Returns the spec of the output. @throws GraphError if queries, keys and values do not fit each other */
function checkInputs([q, k, v]: readonly TensorSpec[], lengths: TensorSpec | undefined): TensorSpec {
  if (q?.shape.length !== 4 || k?.shape.length !== 4 || !v || !sameShape(k.shape, v.shape))
    throw new GraphError('queries, keys and values must be [batch, heads, tokens, headDim]');
  if (q.dtype !== k.dtype || q.dtype !== v.dtype) throw new GraphError('the element types differ');
  const [batch, heads, tokens, width] = dimensions(q.shape, 4);
  const kvHeads = k.shape[1] as number;
  if (!sameShape(k.shape, [batch, kvHeads, tokens, width]) || heads % kvHeads) throw new GraphError('queries and keys do not fit');
  if (lengths && (lengths.dtype !== 'int32' || !sameShape(lengths.shape, [batch])))
    throw new GraphError('the keys of each sample must be int32 [batch]');
  return q;
}

/** Returns the multiplications and additions of one product of all queries with the keys that they attend to. */
function productFlops(q: TensorSpec | undefined, { causal }: { readonly causal: boolean }): number {
  const tokens = q?.shape[2] ?? 0;
  return (2 * elementCount(q?.shape ?? []) * tokens) / (causal ? 2 : 1);
}

export const attentionRules: Pick<OpTable, 'attention' | 'attentionGradient'> = {
  attention: {
    infer: (inputs, { of }) => {
      const { shape, dtype } = checkInputs(inputs, inputs[3]);
      return of === 'output' ? { shape, dtype } : { shape: [...shape.slice(0, 3), 1], dtype: 'float32' };
    },
    gradient: null,
    // The log-sums are computed along with the output, at no extra cost.
    flops: ([q], _, attrs) => (attrs.of === 'output' ? 2 * productFlops(q, attrs) : 0),
    buffer: 'fresh',
    costly: true,
  },
  attentionGradient: {
    infer: (inputs, { toward }) => {
      checkInputs(inputs, inputs[6]);
      const given = inputs[{ q: 0, k: 1, v: 2 }[toward]];
      if (!given) throw new GraphError(`${toward} is missing`);
      return { shape: given.shape, dtype: given.dtype };
    },
    gradient: null,
    // Five products for all three gradients: the scores again, dO·Vᵀ, and one per input.
    flops: ([q], _, attrs) => (5 / 3) * productFlops(q, attrs),
    buffer: 'fresh',
    costly: true,
  },
};
