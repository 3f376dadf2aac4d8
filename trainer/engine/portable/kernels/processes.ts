/** Sums over the processes of a run. This engine runs in one process only. */
import { type KernelTable, one } from '../kernel.ts';

export const processKernels: Pick<KernelTable, 'beginSum' | 'endSum'> = {
  beginSum: { device: ({ inputs }) => one(inputs) },
  endSum: { device: ({ inputs }) => one(inputs) },
};
