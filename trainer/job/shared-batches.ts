/** Divides the batches of a pass among the processes of a run, or the devices of one process. */
import { alikeBatches } from '../data/batch/alike-batches.ts';
import type { PlannedBatch } from '../data/batch/batch-plan.ts';
import type { Batch, BatchSource } from '../data/batch/batches.ts';
import type { Ranks } from './ranks.ts';

/** The processes, or devices of one process, that divide the batches. */
export interface Sharing {
  readonly ranks?: Ranks | undefined;
  /** Number of devices that run a signature at the same time; 1 if left out. */
  readonly devices?: number | undefined;
}

/** The batches that are computed at the same time. */
export interface Round<B extends Batch> {
  /**
   * The batches of this process, all of one shape, valid until the next round: one for each device, fewer at the end of a shape, or none.
   */
  readonly batches: readonly B[];
  /** Number of batches of all processes up to the end of this round. */
  readonly done: number;
}

interface PlannedRound {
  /** The batches of this process. */
  readonly own: readonly PlannedBatch[];
  /** Number of batches of all processes. */
  readonly count: number;
}

/**
 * Yields the batches of a source: in order, or grouped by shape for several devices, which run the same program. All processes must
 * continue to the end, or leave at the same round: before each round, they agree on whether to stop.
 */
export async function* sharedBatches<B extends Batch>(
  { plan, fill, release }: BatchSource<B>,
  { ranks, devices = 1 }: Sharing = {},
): AsyncGenerator<Round<B>> {
  const rounds = ranks ? roundsOfRank(plan.epoch(0), ranks) : alikeBatches(plan.epoch(0), devices).map(own => ({ own, count: own.length }));
  const mine = rounds.flatMap(({ own }) => own);
  let [filled, done] = [0, 0];
  for (const { own, count } of rounds) {
    ranks?.agree();
    const batches: B[] = [];
    for (const planned of own) batches.push(await fill(planned, mine.slice(++filled)));
    done += count;
    yield { batches, done };
    for (const batch of batches) release?.(batch);
  }
}

/** Assigns each process one of as many consecutive batches; in the last round, this process may get none. */
function roundsOfRank(all: readonly PlannedBatch[], { size, rank }: Pick<Ranks, 'size' | 'rank'>): PlannedRound[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, round) => {
    const shared = all.slice(round * size, (round + 1) * size);
    return { own: shared.slice(rank, rank + 1), count: shared.length };
  });
}
