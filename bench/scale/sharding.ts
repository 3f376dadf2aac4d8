/** Plans the batches of many ranks as each does, and checks that all have the same shapes and every sample is trained exactly once. */
import { type BatchSettings, planBatches } from '../../trainer/data/batch/batch-plan.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { createRandom } from '../../trainer/random.ts';

export interface Sharding {
  readonly ranks: number;
  readonly samples: number;
  readonly batches: number;
  /** Number of static shapes that the ranks compile. */
  readonly shapes: number;
  /** Seconds that one rank needs to plan an epoch. */
  readonly planSeconds: number;
}

/**
 * Plans an epoch in all ranks.
 * @throws Error that names the first rank or sample with a mistake
 */
export function planInRanks({
  ranks,
  samples,
  batchSize,
  seed,
}: Readonly<Record<'ranks' | 'samples' | 'batchSize' | 'seed', number>>): Sharding {
  const random = createRandom(seed);
  const sizes = Array.from({ length: samples }, () => {
    const length = 16 + random.below(497);
    return { length, targets: Math.ceil(length / 2) };
  });
  const settings: BatchSettings = {
    batchSize,
    maxLength: 512,
    packing: false,
    shuffle: true,
    grouped: true,
    seed,
    maxBuckets: 4,
    multipleOf: 32,
    targetMultiple: 32,
    maxTargetSizes: 2,
  };
  const trained = new Uint32Array(samples);
  const began = performance.now();
  const plans = Array.from({ length: ranks }, (_, own) => planBatches(sizes, { ...settings, parts: { count: ranks, own } }));
  const planSeconds = (performance.now() - began) / 1000 / ranks;
  const shapesOf = (rank: number): string =>
    JSON.stringify(
      elementAt(plans, rank)
        .epoch(0)
        .map(({ bucket }) => bucket),
    );
  const expected = shapesOf(0);
  for (const [rank, plan] of plans.entries()) {
    if (shapesOf(rank) !== expected) throw new Error(`rank ${rank} has batches of other shapes than rank 0`);
    for (const { rows } of plan.epoch(0))
      for (const { sequences } of rows) for (const sample of sequences) trained[sample] = (trained[sample] ?? 0) + 1;
  }
  const wrong = trained.findIndex(times => times !== 1);
  if (wrong >= 0) throw new Error(`sample ${wrong} is trained ${trained[wrong]} times in an epoch`);
  const first = elementAt(plans, 0);
  return { ranks, samples, batches: first.batchesPerEpoch, shapes: first.buckets.length, planSeconds };
}
