/** Plans the batches of every epoch: static shapes, and an order that is a pure function of (seed, epoch). */

import { createRandom, permutation, shuffle } from '../../random.ts';
import { chooseBuckets } from './choose-buckets.ts';
import { DataError } from './data-error.ts';
import { packSequences } from './pack-sequences.ts';
import type { TokenSequence } from './types.ts';
import { countTargets } from './types.ts';

export interface BatchSettings {
  /** Rows in a batch. */
  readonly batchSize: number;
  /** The longest row in tokens; with packing, the length of every row. */
  readonly maxLength: number;
  readonly packing: boolean;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly maxBuckets: number;
  /** Row lengths are multiples of this. */
  readonly multipleOf: number;
  /** Numbers of target slots are multiples of this. */
  readonly targetMultiple: number;
  /** At most this many numbers of target slots a row length. */
  readonly maxTargetSizes: number;
}

/** The static shape of a batch: `ids` is [batch, tokens], and `targets` positions are scored. */
export interface Bucket {
  readonly batch: number;
  readonly tokens: number;
  readonly targets: number;
}

/** One row of a batch: one sequence, or several packed one after the other. */
export interface Row {
  /** Indices into the sequences. */
  readonly sequences: readonly number[];
  readonly length: number;
  readonly targets: number;
}

/** At most `bucket.batch` rows, each at most `bucket.tokens` long, with at most `bucket.targets` targets in all. */
export interface PlannedBatch {
  readonly epoch: number;
  readonly bucket: Bucket;
  readonly rows: readonly Row[];
}

export interface BatchPlan {
  readonly rows: readonly Row[];
  /** Every shape that a batch can have, by tokens, then targets. */
  readonly buckets: readonly Bucket[];
  /** The same in every epoch. */
  readonly batchesPerEpoch: number;
  /** The share of positions that are padding in the first epoch. */
  readonly paddingShare: number;
  /** The batches of an epoch (from 0) in order. */
  epoch(epoch: number): readonly PlannedBatch[];
}

/** Streams of random numbers of one (seed, epoch). */
const ROW_ORDER = 1;
const BATCH_ORDER = 2;

/**
 * Every sequence is in exactly one batch of each epoch. Rows are shuffled, sorted into length buckets and cut into batches; what is
 * left over in a bucket moves up to the next one where it fills a batch that would be short anyway. Throws DataError for no
 * sequences, or for one above `maxLength`.
 */
export const createBatchPlan = (sequences: readonly TokenSequence[], settings: BatchSettings): BatchPlan =>
  planBatches(
    sequences.map(sequence => ({ length: sequence.ids.length, targets: countTargets(sequence) })),
    settings,
  );

/** What a plan has to know of a sample. */
export interface SampleSize {
  /** In tokens; 1 where a sample has no length. */
  readonly length: number;
  readonly targets: number;
}

/** The same from the sizes of the samples alone. */
export function planBatches(sizes: readonly SampleSize[], settings: BatchSettings): BatchPlan {
  const rows = planRows(sizes, settings);
  const lengths = chooseBuckets(
    rows.map(row => row.length),
    { maxBuckets: settings.packing ? 1 : settings.maxBuckets, multipleOf: settings.multipleOf, limit: settings.maxLength },
  );
  const group = (epoch: number) => groupRows(orderRows(rows, settings, epoch), lengths, settings.batchSize);
  const firstGroups = group(0);
  const shapes = lengths.map((tokens, index) => targetSizes(rows, tokens, firstGroups[index] ?? [], settings));
  const plannedEpoch = (epoch: number) => orderBatches(withShapes(group(epoch), shapes, epoch), settings, epoch);

  let cached: { readonly epoch: number; readonly batches: readonly PlannedBatch[] } = { epoch: 0, batches: plannedEpoch(0) };
  const used = rows.reduce((sum, row) => sum + row.length, 0);
  const slots = cached.batches.reduce((sum, { bucket }) => sum + bucket.batch * bucket.tokens, 0);
  return {
    rows,
    buckets: shapes.flat(),
    batchesPerEpoch: cached.batches.length,
    paddingShare: 1 - used / slots,
    epoch(epoch) {
      if (cached.epoch !== epoch) cached = { epoch, batches: plannedEpoch(epoch) };
      return cached.batches;
    },
  };
}

function planRows(sizes: readonly SampleSize[], { maxLength, packing, seed }: BatchSettings): Row[] {
  if (sizes.length === 0) throw new DataError({ problem: 'there is no sample to make batches of', advice: 'Add data' });
  const lengths = sizes.map(({ length }) => length);
  const tooLong = lengths.findIndex(length => length > maxLength);
  if (tooLong >= 0) {
    const problem = `sample ${tooLong} is ${lengths[tooLong]} tokens long, expected at most ${maxLength}`;
    throw new DataError({ problem, advice: 'Raise max_length, or allow samples to be cut' });
  }
  const targets = sizes.map(size => size.targets);
  const groups = packing ? packSequences(lengths, maxLength, seed) : lengths.map((_, index) => [index]);
  const sum = (group: readonly number[], values: readonly number[]) => group.reduce((total, index) => total + (values[index] ?? 0), 0);
  return groups.map(group => ({ sequences: group, length: sum(group, lengths), targets: sum(group, targets) }));
}

function orderRows(rows: readonly Row[], settings: BatchSettings, epoch: number): readonly Row[] {
  if (!settings.shuffle) return rows;
  const order = permutation(rows.length, createRandom(settings.seed, epoch, ROW_ORDER));
  return Array.from(order, index => rows[index]).filter(row => row !== undefined);
}

/** For each length the batches of rows, in the order of the rows. */
function groupRows(rows: readonly Row[], lengths: readonly number[], batchSize: number): Row[][][] {
  const pools: Row[][] = lengths.map(() => []);
  for (const row of rows) pools[lengths.findIndex(length => length >= row.length)]?.push(row);
  return pools.map((pool, index) => {
    const next = pools[index + 1];
    const left = pool.length % batchSize;
    if (next !== undefined && left > 0 && batchesOf(left + next.length, batchSize) === batchesOf(next.length, batchSize)) {
      next.unshift(...pool.splice(pool.length - left));
    }
    return Array.from({ length: batchesOf(pool.length, batchSize) }, (_, batch) => pool.slice(batch * batchSize, (batch + 1) * batchSize));
  });
}

function batchesOf(rows: number, batchSize: number): number {
  return Math.ceil(rows / batchSize);
}

/** The shapes of one row length: their largest holds any batch that can ever form, the others suit those of the first epoch. */
function targetSizes(rows: readonly Row[], tokens: number, batches: readonly Row[][], settings: BatchSettings): Bucket[] {
  const { batchSize, maxTargetSizes, targetMultiple } = settings;
  const counts = rows.filter(row => row.length <= tokens).map(row => row.targets);
  counts.sort((a, b) => b - a);
  const most = counts.slice(0, batchSize).reduce((sum, count) => sum + count, 0);
  const sizes = chooseBuckets([...batches.map(targetsOf), most], { maxBuckets: maxTargetSizes, multipleOf: targetMultiple });
  return sizes.map(targets => ({ batch: batchSize, tokens, targets }));
}

function withShapes(groups: readonly Row[][][], shapes: readonly Bucket[][], epoch: number): PlannedBatch[] {
  return groups.flatMap((batches, index) =>
    batches.map(rows => {
      const targets = targetsOf(rows);
      const bucket = shapes[index]?.find(shape => shape.targets >= targets);
      if (bucket === undefined) throw new RangeError(`no shape holds ${targets} targets`);
      return { epoch, bucket, rows };
    }),
  );
}

function targetsOf(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => sum + row.targets, 0);
}

function orderBatches(batches: PlannedBatch[], settings: BatchSettings, epoch: number): PlannedBatch[] {
  return settings.shuffle ? shuffle(batches, createRandom(settings.seed, epoch, BATCH_ORDER)) : batches;
}
