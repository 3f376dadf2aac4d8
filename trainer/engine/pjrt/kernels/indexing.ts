/** Operations that pick or sum by index. */
import { inFloat32, type LoweringTable, one, two } from '../lowering.ts';

export const indexingLowerings: Pick<LoweringTable, 'gather' | 'segmentSum' | 'oneHot'> = {
  gather: ({ emitter, inputs, attrs }) => emitter.gather(...two(inputs), attrs.axis),
  // Ids below 0 are out of range, where a scatter writes nothing.
  segmentSum: ({ emitter, inputs, attrs: { count, distinct = false } }) => {
    const [data, ids] = two(inputs);
    return inFloat32({ emitter }, data, wide => {
      const zeros = emitter.fill(0, wide.type, [count, ...wide.shape.slice(1)]);
      return emitter.scatter(zeros, ids, wide, { combine: 'add', unique: false, isUnordered: !distinct });
    });
  },
  oneHot: ({ emitter, inputs, attrs: { depth } }) => {
    const ids = one(inputs);
    const shape = [...ids.shape, depth];
    const places = emitter.iota(shape, ids.shape.length, 'i32');
    const wanted = emitter.spread(ids, shape, [...ids.shape.keys()]);
    return emitter.convert(emitter.compare('EQ', places, wanted), 'f32');
  },
};
