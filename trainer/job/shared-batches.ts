/** The batches of a pass that the processes of a run divide among them. */
import type { Batch, BatchSource } from '../data/batch/batches.ts';
import type { Ranks } from './ranks.ts';

/** As many batches in a row as there are processes. */
export interface Round<B extends Batch> {
  /** The batch of this process, until the next round is asked for; the last round may have none for it. */
  readonly batch: B | undefined;
  /** Batches of all processes up to the end of this round. */
  readonly done: number;
}

/**
 * The batches of a source in their order. All processes have to read on until the end, or leave at the same round: before each, they agree on
 * whether the job was asked to stop.
 */
export async function* sharedBatches<B extends Batch>(
  { plan, fill, release }: BatchSource<B>,
  ranks: Ranks | undefined,
): AsyncGenerator<Round<B>> {
  const [size, own] = [ranks?.size ?? 1, ranks?.rank ?? 0];
  const all = plan.epoch(0);
  const mine = all.filter((_, at) => at % size === own);
  for (let first = 0; first < all.length; first += size) {
    ranks?.agree();
    const round = first / size;
    const planned = mine[round];
    const batch = planned && (await fill(planned, mine.slice(round + 1)));
    yield { batch, done: Math.min(first + size, all.length) };
    if (batch) release?.(batch);
  }
}
