/** Operations that pick or sum by index. */
import type { LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

export const indexingLowerings = {
  gather: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('GatherV2', [...inputs, emitter.int(attrs.axis)], {
      Tparams: attr.type(node.dtype),
      Tindices: attr.type('int32'),
      Taxis: attr.type('int32'),
      batch_dims: attr.int(0),
    }),
  segmentSum: ({ emitter, inputs, node, attrs }) =>
    emitter.emit('UnsortedSegmentSum', [...inputs, emitter.int(attrs.count)], {
      T: attr.type(node.dtype),
      Tindices: attr.type('int32'),
      Tnumsegments: attr.type('int32'),
    }),
  oneHot: ({ emitter, inputs, attrs }) =>
    emitter.emit(
      'OneHot',
      [
        ...inputs,
        emitter.int(attrs.depth),
        emitter.constant(Float32Array.of(1), [], 'float32'),
        emitter.constant(Float32Array.of(0), [], 'float32'),
      ],
      { T: attr.type('float32'), TI: attr.type('int32'), axis: attr.int(-1) },
    ),
} satisfies Partial<LoweringTable>;
