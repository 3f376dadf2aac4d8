/** Operations that move elements without computing. */
import { GraphError } from '../../../graph/types.ts';
import type { LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';
import { scalarOf } from './scalar.ts';

export const shapeLowerings = {
  reshape: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('Reshape', [...inputs, emitter.ints(attrs.shape)], { T: attr.type(node.dtype), Tshape: attr.type('int32') }),
  transpose: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('Transpose', [...inputs, emitter.ints(attrs.perm)], { T: attr.type(node.dtype), Tperm: attr.type('int32') }),
  slice: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('Slice', [...inputs, emitter.ints(attrs.begin), emitter.ints(attrs.size)], {
      T: attr.type(node.dtype),
      Index: attr.type('int32'),
    }),
  pad: ({ emitter, inputs, node, attrs }) => {
    const paddings = Int32Array.from(attrs.before.flatMap((n, i) => [n, attrs.after[i] ?? 0]));
    const value = scalarOf(attrs.value, node.dtype);
    if (!value) throw new GraphError(`padding of ${node.dtype} is not supported by this engine`);
    const extra = [emitter.constant(paddings, [attrs.before.length, 2], 'int32'), emitter.constant(value, [], node.dtype)];
    return emitter.emit('PadV2', [...inputs, ...extra], { T: attr.type(node.dtype), Tpaddings: attr.type('int32') });
  },
  concat: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('ConcatV2', [...inputs, emitter.int(attrs.axis)], {
      N: attr.int(inputs.length),
      T: attr.type(node.dtype),
      Tidx: attr.type('int32'),
    }),
  broadcast: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('BroadcastTo', [...inputs, emitter.ints(attrs.shape)], { T: attr.type(node.dtype), Tidx: attr.type('int32') }),
} satisfies Partial<LoweringTable>;
