/** Operations that select by index. */
import { type LoweringTable, refused, two } from '../lowering.ts';

export const indexingLowerings: Pick<LoweringTable, 'gather' | 'segmentSum' | 'oneHot'> = {
  gather: ({ emitter, inputs, attrs: { axis } }) => emitter.emit('Gather', two(inputs), { axis }),
  segmentSum: refused('segmentSum', 'gradients of embeddings'),
  oneHot: refused('oneHot', 'losses and mixtures of experts'),
};
