/** The batches of a pass that the processes of a run, or the devices of one process, divide among them. */
import { alikeBatches } from '../data/batch/alike-batches.ts';
import type { PlannedBatch } from '../data/batch/batch-plan.ts';
import type { Batch, BatchSource } from '../data/batch/batches.ts';
import type { Ranks } from './ranks.ts';

/** Those that divide the batches: processes, or devices of one process. */
export interface Sharing {
  readonly ranks?: Ranks | undefined;
  /** Devices that run a signature at the same time; 1 if left out. */
  readonly devices?: number | undefined;
}

/** The batches that are computed at the same time. */
export interface Round<B extends Batch> {
  /** Those of this process, of one shape, until the next round is asked for: one for each device, fewer at the end of a shape, or none. */
  readonly batches: readonly B[];
  /** Batches of all processes up to the end of this round. */
  readonly done: number;
}

interface PlannedRound {
  /** Those of this process. */
  readonly own: readonly PlannedBatch[];
  /** Those of all processes. */
  readonly count: number;
}

/**
 * The batches of a source: in their order, or by their shapes for several devices, which run the same program. All processes have to read on
 * until the end, or leave at the same round: before each, they agree on whether the job was asked to stop.
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

/** As many batches in a row as there are processes; the last round may have none for this one. */
function roundsOfRank(all: readonly PlannedBatch[], { size, rank }: Pick<Ranks, 'size' | 'rank'>): PlannedRound[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, round) => {
    const shared = all.slice(round * size, (round + 1) * size);
    return { own: shared.slice(rank, rank + 1), count: shared.length };
  });
}
