/** Sums over the processes of a run. This engine runs in one process. */
import { type LoweringTable, one } from '../lowering.ts';

export const processLowerings: Pick<LoweringTable, 'beginSum' | 'endSum'> = {
  beginSum: ({ inputs }) => one(inputs),
  endSum: ({ inputs }) => one(inputs),
};
