/** Reductions and softmax. */
import { ONNX_TYPES } from '../../../format/onnx/onnx-schema.ts';
import type { Lowering, LoweringTable } from '../lowering.ts';
import { one } from '../lowering.ts';

const reduced =
  (name: string): Lowering<'sum' | 'max'> =>
  ({ emitter, inputs, attrs: { axes, keepDims } }) =>
    emitter.emit(name, [one(inputs), emitter.ints(axes)], { keepdims: Number(keepDims) });

export const reductionLowerings: Pick<LoweringTable, 'sum' | 'max' | 'argmax' | 'softmax'> = {
  sum: reduced('ReduceSum'),
  max: reduced('ReduceMax'),
  argmax: ({ emitter, inputs, attrs: { axis } }) =>
    emitter.cast(emitter.emit('ArgMax', [one(inputs)], { axis, keepdims: 0 }), ONNX_TYPES.int32),
  softmax: ({ emitter, inputs }) => emitter.emit('Softmax', [one(inputs)], { axis: -1 }),
};
