/**
 * Sums over the parts of a batch. The devices of one process sum within their program; sums over processes run between programs
 * (`graph/split-at-sums.ts`), so no program contains them.
 */
import { GraphError } from '../../../graph/types.ts';
import { type LoweringTable, one } from '../lowering.ts';

export const processLowerings: Pick<LoweringTable, 'beginSum' | 'endSum'> = {
  beginSum: ({ emitter, inputs, attrs: { as }, replicas }) => {
    if (replicas === undefined) throw new GraphError('sums over processes are between programs: divide the signature at them');
    if (as !== 'float32') throw new GraphError(`the devices of one process sum float32, not ${as}`);
    return emitter.sumOverReplicas(one(inputs), replicas);
  },
  endSum: ({ inputs }) => one(inputs),
};
