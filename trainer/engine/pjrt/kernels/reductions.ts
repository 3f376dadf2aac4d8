/** Reductions and softmax. bfloat16 values are summed in 32 bits and rounded once. */
import type { Reduction } from '../../../graph/attributes.ts';
import type { Emitter, Reducer } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { inFloat32, type LoweringTable, one } from '../lowering.ts';

/** Reduces over axes, which are kept with a length of 1. */
const keeping = (emitter: Emitter, op: Reducer, x: Value, axes: readonly number[]): Value =>
  emitter.reshape(
    emitter.reduce(op, x, axes),
    x.shape.map((n, i) => (axes.includes(i) ? 1 : n)),
  );

const reduced = (emitter: Emitter, op: Reducer, x: Value, { axes, keepDims }: Reduction): Value =>
  keepDims ? keeping(emitter, op, x, axes) : emitter.reduce(op, x, axes);

export const reductionLowerings: Pick<LoweringTable, 'sum' | 'max' | 'argmax' | 'softmax'> = {
  sum: ({ emitter, inputs, attrs }) => inFloat32({ emitter }, one(inputs), x => reduced(emitter, 'add', x, attrs)),
  max: ({ emitter, inputs, attrs }) => reduced(emitter, 'maximum', one(inputs), attrs),
  // The first index that attains the maximum; if no value equals it (NaN), the last index.
  argmax: ({ emitter, inputs, attrs: { axis } }) => {
    const x = one(inputs);
    const hit = emitter.compare('EQ', x, keeping(emitter, 'maximum', x, [axis]));
    const last = emitter.fill((x.shape[axis] as number) - 1, 'i32');
    return emitter.reduce('minimum', emitter.select(hit, emitter.iota(x.shape, axis, 'i32'), last), [axis]);
  },
  softmax: ({ emitter, inputs }) =>
    inFloat32({ emitter }, one(inputs), x => {
      const axes = [x.shape.length - 1];
      const powers = emitter.map('exponential', [emitter.zip('subtract', x, keeping(emitter, 'maximum', x, axes))]);
      return emitter.zip('divide', powers, keeping(emitter, 'add', powers, axes));
    }),
};
