/** Operations that pick or sum by index. */
import { elementCount } from '../../../graph/types.ts';
import { inputAt, type LoweringContext, type LoweringTable } from '../lowering.ts';
import { attr } from '../node-def.ts';

export const indexingLowerings = {
  gather: call => {
    const { emitter, inputs, node, attrs, hasColumns } = call;
    const data = inputAt(call, 0).shape;
    // TensorFlow calls a C library function for each element of the last axis.
    if (hasColumns && attrs.axis === data.length - 1 && elementCount(data) > 0)
      return emitter.emit('RowtuneReadColumns', inputs, { T: attr.type(node.dtype) });
    return emitter.emit('GatherV2', [...inputs, emitter.int(attrs.axis)], {
      Tparams: attr.type(node.dtype),
      Tindices: attr.type('int32'),
      Taxis: attr.type('int32'),
      batch_dims: attr.int(0),
    });
  },
  segmentSum: call => (call.node.shape.length === 1 ? scatterAdd(call) : rowSums(call)),
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

const rowSums = ({ emitter, inputs, node, attrs }: LoweringContext<'segmentSum'>): string =>
  emitter.emit('UnsortedSegmentSum', [...inputs, emitter.int(attrs.count)], {
    T: attr.type(node.dtype),
    Tindices: attr.type('int32'),
    Tnumsegments: attr.type('int32'),
  });

/** Sums single values. `UnsortedSegmentSum` counts each segment in an additional eight bytes, twice what the sums take. */
function scatterAdd({ emitter, inputs, node, attrs }: LoweringContext<'segmentSum'>): string {
  const [data = '', ids = ''] = inputs;
  const column = emitter.emit('Reshape', [ids, emitter.ints([-1, 1])], { T: attr.type('int32'), Tshape: attr.type('int32') });
  return emitter.emit('ScatterNd', [column, data, emitter.ints([attrs.count])], {
    T: attr.type(node.dtype),
    Tindices: attr.type('int32'),
    bad_indices_policy: attr.string('IGNORE'),
  });
}
