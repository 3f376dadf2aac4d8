/**
 * Plans batches of samples whose lengths are not known before they are needed: each batch is the next rows in their order, as without length
 * groups in `planBatches`, and has the same samples. The shapes follow from the first batches and from the longest row that is allowed.
 */
import { elementAt } from '../../narrow.ts';
import { createRandom, permutation } from '../../random.ts';
import { DataError } from '../data-error.ts';
import type { List } from '../tokens/example-store.ts';
import {
  BATCH_ORDER,
  type BatchPlan,
  type BatchSettings,
  type Bucket,
  lengthFor,
  longest,
  type PlannedBatch,
  partsOf,
  ROW_ORDER,
  type Row,
  type SampleSize,
  targetsOf,
  withShapes,
} from './batch-plan.ts';
import { chooseBuckets } from './choose-buckets.ts';

/** Samples of the first batches, from which shapes are chosen: tokenizing them takes half a second. */
export const SAMPLED = 1024;

/** The order of an epoch: 4 bytes for each sample and each batch. */
interface Order {
  readonly epoch: number;
  /** Undefined for the order of the samples. */
  readonly rows: Int32Array | undefined;
  readonly batches: Int32Array | undefined;
}

/** @throws DataError for no samples, and from reading sizes */
export function planInOrder(sizes: List<SampleSize>, settings: BatchSettings): BatchPlan {
  const { batchSize, parts, seed, shuffle, maxLength } = settings;
  if (settings.grouped || settings.packing) throw new TypeError('lengths decide the order of these batches');
  if (sizes.length === 0) throw new DataError({ problem: 'there is no sample to make batches of', advice: 'Add data' });
  const wholeSize = batchSize * (parts?.count ?? 1);
  const batchesPerEpoch = Math.ceil(sizes.length / wholeSize);
  const orderOf = (epoch: number): Order => ({
    epoch,
    rows: shuffle ? permutation(sizes.length, createRandom(seed, epoch, ROW_ORDER)) : undefined,
    batches: shuffle ? permutation(batchesPerEpoch, createRandom(seed, epoch, BATCH_ORDER)) : undefined,
  });
  let order = orderOf(0);
  const rowAt = (sample: number): Row => {
    const size = sizes.at(sample);
    if (size === undefined) throw new RangeError(`no sample ${sample} among ${sizes.length}`);
    if (size.length > maxLength) throw new RangeError(`sample ${sample} has ${size.length} tokens, and rows have ${maxLength}`);
    return { sequences: [sample], ...size };
  };
  /** The rows of the whole batch at a place of the epoch. */
  const rowsAt = (epoch: number, place: number): Row[] => {
    if (order.epoch !== epoch) order = orderOf(epoch);
    const first = (order.batches?.[place] ?? place) * wholeSize;
    return Array.from({ length: Math.min(wholeSize, sizes.length - first) }, (_, i) => rowAt(order.rows?.[first + i] ?? first + i));
  };
  const first = Array.from({ length: Math.min(batchesPerEpoch, Math.ceil(SAMPLED / wholeSize)) }, (_, place) => rowsAt(0, place));
  const lengths = lengthsFor(first, settings);
  const shapes = lengths.map((tokens, length) =>
    targetShapes(
      tokens,
      first.filter(rows => lengthFor(lengths, longest(rows)) === length),
      settings,
    ),
  );
  const planned = (epoch: number, place: number): PlannedBatch => {
    const rows = rowsAt(epoch, place);
    return elementAt(withShapes([{ length: lengthFor(lengths, longest(rows)), rows }], shapes, epoch, settings), 0);
  };
  const slice = (epoch: number, from: number, to: number): PlannedBatch[] =>
    Array.from({ length: Math.max(0, Math.min(to, batchesPerEpoch) - from) }, (_, i) => planned(epoch, from + i));
  return {
    get rows() {
      return Array.from({ length: sizes.length }, (_, sample) => rowAt(sample));
    },
    buckets: shapes.flat(),
    batchesPerEpoch,
    paddingShare: paddingOf(slice(0, 0, first.length)),
    epoch: number => slice(number, 0, batchesPerEpoch),
    slice,
  };
}

function lengthsFor(first: readonly (readonly Row[])[], { maxBuckets, multipleOf, maxLength }: BatchSettings): number[] {
  return chooseBuckets([...first.map(longest), maxLength], { maxBuckets, multipleOf, limit: maxLength });
}

/** Shapes of one length: the largest holds any batch, since each token of a row but its first may be a target. */
function targetShapes(tokens: number, batches: readonly (readonly Row[])[], settings: BatchSettings): Bucket[] {
  const { batchSize, maxTargetSizes, targetMultiple } = settings;
  const counts = batches.flatMap(rows => partsOf(rows, settings)).map(targetsOf);
  const sizes = chooseBuckets([...counts, batchSize * (tokens - 1)], { maxBuckets: maxTargetSizes, multipleOf: targetMultiple });
  return sizes.map(targets => ({ batch: batchSize, tokens, targets }));
}

function paddingOf(batches: readonly PlannedBatch[]): number {
  const used = batches.reduce((sum, { rows }) => sum + rows.reduce((length, row) => length + row.length, 0), 0);
  return 1 - used / batches.reduce((sum, { bucket }) => sum + bucket.batch * bucket.tokens, 0);
}
