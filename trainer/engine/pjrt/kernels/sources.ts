/** Feeds, constants, variables and random values. */
import { elementCount } from '../../../graph/types.ts';
import { hloType } from '../hlo-type.ts';
import { type LoweringTable, one } from '../lowering.ts';

/** Constants with at most this many elements are written into the module's text. */
const WRITTEN_ELEMENTS = 64;

export const sourceLowerings: Pick<LoweringTable, 'feed' | 'constant' | 'read' | 'randomMask'> = {
  feed: ({ attrs, feed }) => feed(attrs.name),
  constant: ({ emitter, attrs, argument }) =>
    elementCount(attrs.shape) <= WRITTEN_ELEMENTS
      ? emitter.constant(attrs.value, attrs.shape, hloType(attrs.dtype))
      : argument({ shape: attrs.shape, dtype: attrs.dtype }, () => attrs.value),
  read: ({ attrs, get }) => get(attrs.variable),
  randomMask: ({ emitter, inputs, attrs: { shape, ones, skip = 0, parts = 1 }, randomBits }) => {
    const count = elementCount(shape);
    if (parts > 1) {
      const all = randomBits(one(inputs), Math.ceil((parts * count) / 8));
      const own = emitter.sliceAt(all, emitter.zip('multiply', emitter.replica(), emitter.fill(count, 'ui32')), count);
      return emitter.reshape(emitter.compare('LT', own, emitter.fill(ones, 'ui32')), shape);
    }
    const blocks = Math.ceil((skip + count) / 8);
    const drawn = emitter.slice(randomBits(one(inputs), blocks), [skip], [count]);
    return emitter.reshape(emitter.compare('LT', drawn, emitter.fill(ones, 'ui32')), shape);
  },
};
