/** Sums over the processes of a run, between the programs of a signature (`graph/split-at-sums.ts`): no program has them. */
import { GraphError } from '../../../graph/types.ts';
import type { LoweringTable } from '../lowering.ts';

const betweenPrograms = (): never => {
  throw new GraphError('sums over processes are between programs: divide the signature at them');
};

export const processLowerings: Pick<LoweringTable, 'beginSum' | 'endSum'> = { beginSum: betweenPrograms, endSum: betweenPrograms };
