/** The batches of a pass that the processes of a run divide among them. */
import type { Batch, BatchSource } from '../data/batch/batches.ts';
import type { JobScope } from './job-scope.ts';

/** As many batches in a row as there are processes. */
export interface Round<B extends Batch> {
  /** The batch of this process, until the next round is asked for; the last round may have none for it. */
  readonly batch: B | undefined;
  /** Batches of all processes up to the end of this round. */
  readonly done: number;
}

/**
 * The batches of a source in their order. All processes have to read on until the end; a request to stop ends the pass in all of them at once.
 * @throws RunError 'stopped'
 */
export async function* sharedBatches<B extends Batch>(
  { plan, fill, release }: BatchSource<B>,
  { job, ranks }: Pick<JobScope, 'job' | 'ranks'>,
): AsyncGenerator<Round<B>> {
  const [size, own] = [ranks?.size ?? 1, ranks?.rank ?? 0];
  const all = plan.epoch(0);
  for (let first = 0; first < all.length; first += size) {
    ranks?.agree();
    job.checkStop();
    const planned = all[first + own];
    const batch = planned && (await fill(planned));
    yield { batch, done: Math.min(first + size, all.length) };
    if (batch) release?.(batch);
  }
}
