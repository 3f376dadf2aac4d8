/** The memory that the exchange of gradients takes in a process, in addition to the gradients themselves. */
import { sumForms } from '../../graph/sum-forms.ts';
import { elementCount } from '../../graph/types.ts';
import { largestSum } from '../../train/gradient-exchange.ts';
import { updateGroups } from '../../train/update-group.ts';
import type { RunPlan } from '../run-plan.ts';

/** The numbers that are on their way at a time: kPart in engine/native/narrow-sum.cc. */
const PART = 2 ** 24;

export interface ExchangeMemory {
  /** During a step: what is sent and what is received. */
  readonly bufferBytes: number;
  /** From one step to the next: what narrowing lost. */
  readonly keptBytes: number;
}

export function exchangeMemory({
  attachment,
  optimizer,
  exchangeType = 'float32',
  parts,
}: Pick<RunPlan, 'attachment' | 'optimizer' | 'exchangeType' | 'parts'>): ExchangeMemory {
  const ranks = parts?.count ?? 1;
  const { bytes, isNarrow, keepsLoss } = sumForms[exchangeType];
  if (ranks === 1 || !isNarrow) return { bufferBytes: 0, keptBytes: 0 };
  const groups = updateGroups(attachment.trainables, optimizer);
  const share = Math.ceil(Math.min(PART, largestSum(groups)) / ranks);
  return {
    bufferBytes: 2 * ranks * bytes(share),
    keptBytes: keepsLoss ? 4 * groups.reduce((sum, { shape }) => sum + elementCount(shape), 0) : 0,
  };
}
