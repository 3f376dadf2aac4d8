/** Elementwise operations: one TensorFlow operation each. */
import type { OpName } from '../../../graph/attributes.ts';
import { inputAt, type Lowering, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

/** Returns a lowering to an operation with the same inputs, whose only attribute is the element type of the last one. */
const typed =
  <Op extends OpName>(name: string): Lowering<Op> =>
  ({ emitter, inputs, node }) =>
    emitter.emit(name, inputs, { T: attr.type(inputAt({ node }, inputs.length - 1).dtype) });

export const elementwiseLowerings = {
  neg: typed('Neg'),
  abs: typed('Abs'),
  sign: typed('Sign'),
  floor: typed('Floor'),
  exp: typed('Exp'),
  log: typed('Log'),
  sqrt: typed('Sqrt'),
  rsqrt: typed('Rsqrt'),
  square: typed('Square'),
  reciprocal: typed('Reciprocal'),
  tanh: typed('Tanh'),
  sigmoid: typed('Sigmoid'),
  erf: typed('Erf'),
  relu: typed('Relu'),
  sin: typed('Sin'),
  cos: typed('Cos'),
  cast: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('Cast', inputs, { SrcT: attr.type(inputAt({ node }, 0).dtype), DstT: attr.type(attrs.dtype), Truncate: attr.bool(false) }),
  add: typed('AddV2'),
  sub: typed('Sub'),
  mul: typed('Mul'),
  div: typed('Div'),
  maximum: typed('Maximum'),
  minimum: typed('Minimum'),
  equal: typed('Equal'),
  less: typed('Less'),
  greaterEqual: typed('GreaterEqual'),
  logicalAnd: ({ emitter, inputs }) => emitter.emit('LogicalAnd', inputs),
  select: typed('SelectV2'),
  // Both take the inputs y, dy.
  sigmoidGrad: typed('SigmoidGrad'),
} satisfies Partial<LoweringTable>;
