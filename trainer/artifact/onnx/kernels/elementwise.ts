/** Element-wise operations: one ONNX operation each, except those that ONNX lacks. */
import { ONNX_TYPES } from '../../../format/onnx/onnx-schema.ts';
import type { OpName } from '../../../graph/attributes.ts';
import type { Elementwise } from '../../../graph/ops/elementwise.ts';
import { onnxType } from '../emitter.ts';
import { type Lowering, type LoweringTable, one, refused } from '../lowering.ts';

/** Lowers to an operation with the same inputs, which broadcasts as ours does. */
const same =
  <Op extends OpName>(name: string): Lowering<Op> =>
  ({ emitter, inputs }) =>
    emitter.emit(
      name,
      inputs.map(input => input.name),
    );

export const elementwiseLowerings: Pick<LoweringTable, Elementwise> = {
  neg: same('Neg'),
  abs: same('Abs'),
  sign: same('Sign'),
  floor: same('Floor'),
  exp: same('Exp'),
  log: same('Log'),
  sqrt: same('Sqrt'),
  rsqrt: ({ emitter, inputs }) => emitter.emit('Reciprocal', [emitter.emit('Sqrt', [one(inputs)])]),
  square: ({ emitter, inputs }) => emitter.emit('Mul', [one(inputs), one(inputs)]),
  reciprocal: same('Reciprocal'),
  tanh: same('Tanh'),
  sigmoid: same('Sigmoid'),
  erf: same('Erf'),
  relu: same('Relu'),
  sin: same('Sin'),
  cos: same('Cos'),
  cast: ({ emitter, inputs, attrs }) => emitter.cast(one(inputs), ONNX_TYPES[onnxType(attrs.dtype)]),
  add: same('Add'),
  sub: same('Sub'),
  mul: same('Mul'),
  div: same('Div'),
  maximum: same('Max'),
  minimum: same('Min'),
  equal: same('Equal'),
  less: same('Less'),
  greaterEqual: same('GreaterOrEqual'),
  logicalAnd: same('And'),
  select: same('Where'),
  sigmoidGrad: refused('sigmoidGrad', 'gradients'),
};
