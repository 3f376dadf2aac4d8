/** Reductions and softmax. */
import type { OpName } from '../../../graph/attributes.ts';
import { inputAt, type Lowering, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

const reduction =
  <Op extends OpName & ('sum' | 'max')>(name: string): Lowering<Op> =>
  ({ emitter, inputs, node, attrs }) =>
    emitter.emit(name, [...inputs, emitter.ints(attrs.axes)], {
      T: attr.type(node.dtype),
      Tidx: attr.type('int32'),
      keep_dims: attr.bool(attrs.keepDims),
    });

export const reductionLowerings = {
  sum: reduction('Sum'),
  max: reduction('Max'),
  argmax: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('ArgMax', [...inputs, emitter.int(attrs.axis)], {
      T: attr.type(inputAt({ node }, 0).dtype),
      Tidx: attr.type('int32'),
      output_type: attr.type('int32'),
    }),
  softmax: ({ emitter, inputs, node }) => emitter.emit('Softmax', inputs, { T: attr.type(node.dtype) }),
} satisfies Partial<LoweringTable>;
