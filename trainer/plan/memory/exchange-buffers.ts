/** The memory that exchanging gradients takes in a process, or on one of its devices, in addition to the gradients themselves. */
import { sumForms } from '../../graph/sum-forms.ts';
import { elementCount } from '../../graph/types.ts';
import { largestSum } from '../../train/gradient-exchange.ts';
import { updateGroups } from '../../train/update-group.ts';
import type { RunPlan } from '../run-plan.ts';
import { engineMemory, memoryOnGpu } from './engine-memory.ts';

/** Elements in transit at a time: kPart in engine/mpi/native/narrow-sum.cc. */
const PART = 2 ** 24;

export interface ExchangeMemory {
  /** Send and receive buffers during a step. */
  readonly bufferBytes: number;
  /**
   * Memory between two programs of a step, once its activations are freed: gradients, their copies in the host's memory, and the buffers of
   * both.
   */
  readonly betweenBytes: number;
  /** Memory that lasts from one step to the next: rounding errors of narrow formats. */
  readonly keptBytes: number;
}

export function exchangeMemory({
  attachment,
  optimizer,
  exchangeType = 'float32',
  parts,
  on,
}: Pick<RunPlan, 'attachment' | 'optimizer' | 'exchangeType' | 'parts' | 'on'>): ExchangeMemory {
  const ranks = parts?.count ?? 1;
  const { bytes, isNarrow, keepsLoss } = sumForms[exchangeType];
  if (ranks === 1) return { bufferBytes: 0, betweenBytes: 0, keptBytes: 0 };
  const groups = updateGroups(attachment.trainables, optimizer);
  const gradients = 4 * groups.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  // Devices sum within a step. XLA's CPU compiler holds gradients until others are computed, and allocates their sums next to them: that
  // takes 1.6 times the gradients in full fine-tuning (test/unit/engine/pjrt/replicas.test.ts).
  if (parts?.own === 'each') return { bufferBytes: 2 * gradients, betweenBytes: 0, keptBytes: 0 };
  const share = Math.ceil(Math.min(PART, largestSum(groups)) / ranks);
  const buffers = isNarrow ? 2 * ranks * bytes(share) : 0;
  const keptBytes = keepsLoss ? gradients : 0;
  if (!engineMemory[on.engine].sumsBetweenPrograms) return { bufferBytes: buffers, betweenBytes: 0, keptBytes };
  // On a GPU, everything except the gradients is in the host's memory, which does not count.
  return { bufferBytes: 0, betweenBytes: memoryOnGpu(on) ? gradients : 2 * gradients + buffers, keptBytes };
}
