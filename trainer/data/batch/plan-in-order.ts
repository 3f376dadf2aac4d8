/**
 * Plans batches of samples whose lengths are not known before they are needed. Without length groups each batch is the next rows in their order,
 * and has the samples that it has in `planBatches`. With them, rows of similar length are put together within windows: the next thousand rows in
 * their order. The shapes follow from the first window and from the longest row that is allowed.
 */
import { elementAt } from '../../narrow.ts';
import { createRandom, permutation, shuffle } from '../../random.ts';
import { DataError } from '../data-error.ts';
import type { List } from '../tokens/example-store.ts';
import {
  BATCH_ORDER,
  type BatchPlan,
  type BatchSettings,
  type Bucket,
  type Cut,
  groupRows,
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

/** Samples of a window, and those of the first, from which shapes are chosen: tokenizing them takes half a second. */
export const WINDOW = 1024;

/** The samples as rows in the order of an epoch. */
interface OrderedRows {
  readonly count: number;
  /** Some of an epoch, fewer at its end. */
  from(epoch: number, first: number, count: number): Row[];
  readonly all: readonly Row[];
}

/** Cuts epochs into batches. */
interface Cutter {
  /** Row lengths of shapes. */
  readonly lengths: readonly number[];
  /** The first batches of the first epoch, in any order. */
  readonly first: readonly Cut[];
  at(epoch: number, place: number): Cut;
}

/** @throws DataError for no samples, and from reading sizes */
export function planInOrder(sizes: List<SampleSize>, settings: BatchSettings): BatchPlan {
  if (settings.packing) throw new TypeError('lengths decide the rows of these batches');
  if (sizes.length === 0) throw new DataError({ problem: 'there is no sample to make batches of', advice: 'Add data' });
  const rows = rowsInOrder(sizes, settings);
  const whole = { ...settings, batchSize: settings.batchSize * (settings.parts?.count ?? 1) };
  const batchesPerEpoch = Math.ceil(rows.count / whole.batchSize);
  const { lengths, first, at } = (settings.grouped ? cutWindows : cutInOrder)(rows, whole);
  const shapes = lengths.map((tokens, length) =>
    targetShapes(
      tokens,
      first.filter(cut => cut.length === length).map(({ rows }) => rows),
      settings,
    ),
  );
  const slice = (epoch: number, from: number, to: number): PlannedBatch[] => {
    const cuts = Array.from({ length: Math.max(0, Math.min(to, batchesPerEpoch) - from) }, (_, i) => at(epoch, from + i));
    return withShapes(cuts, shapes, epoch, settings);
  };
  return {
    get rows() {
      return rows.all;
    },
    buckets: shapes.flat(),
    batchesPerEpoch,
    paddingShare: paddingOf(slice(0, 0, first.length)),
    epoch: number => slice(number, 0, batchesPerEpoch),
    slice,
  };
}

/** The place that comes at a place of an epoch: in a random order, of 4 bytes for each, or itself without `shuffle`. */
function orderOf(count: number, stream: number, { seed, shuffle: isShuffled }: BatchSettings): (epoch: number, place: number) => number {
  if (!isShuffled) return (_, place) => place;
  let current: { readonly epoch: number; readonly places: Int32Array } | undefined;
  return (epoch, place) => {
    if (current?.epoch !== epoch) current = { epoch, places: permutation(count, createRandom(seed, epoch, stream)) };
    return current.places[place] ?? place;
  };
}

function rowsInOrder(sizes: List<SampleSize>, settings: BatchSettings): OrderedRows {
  const { maxLength } = settings;
  const sampleAt = orderOf(sizes.length, ROW_ORDER, settings);
  const rowAt = (sample: number): Row => {
    const size = sizes.at(sample);
    if (size === undefined) throw new RangeError(`no sample ${sample} among ${sizes.length}`);
    if (size.length > maxLength) throw new RangeError(`sample ${sample} has ${size.length} tokens, and rows have ${maxLength}`);
    return { sequences: [sample], ...size };
  };
  return {
    count: sizes.length,
    from: (epoch, first, count) =>
      Array.from({ length: Math.min(count, sizes.length - first) }, (_, i) => rowAt(sampleAt(epoch, first + i))),
    get all() {
      return Array.from({ length: sizes.length }, (_, sample) => rowAt(sample));
    },
  };
}

/** Each batch is the next rows. @param whole with the rows of a batch of all parts */
function cutInOrder(rows: OrderedRows, whole: BatchSettings): Cutter {
  const { batchSize } = whole;
  const count = Math.ceil(rows.count / batchSize);
  const batchAt = orderOf(count, BATCH_ORDER, whole);
  const rowsAt = (epoch: number, place: number): Row[] => rows.from(epoch, batchAt(epoch, place) * batchSize, batchSize);
  const first = Array.from({ length: Math.min(count, Math.ceil(WINDOW / batchSize)) }, (_, place) => rowsAt(0, place));
  const lengths = chooseLengths(first.map(longest), whole);
  const cut = (rows: readonly Row[]): Cut => ({ length: lengthFor(lengths, longest(rows)), rows });
  return { lengths, first: first.map(cut), at: (epoch, place) => cut(rowsAt(epoch, place)) };
}

/**
 * Rows of similar length are put together within each window, whose batches have a random order: windows of 50 batches are usual
 * (`LengthGroupedSampler` in Transformers).
 * @param whole with the rows of a batch of all parts
 */
function cutWindows(rows: OrderedRows, whole: BatchSettings): Cutter {
  const { batchSize, seed, shuffle: isShuffled } = whole;
  const inWindow = Math.ceil(WINDOW / batchSize);
  const rowsOf = (epoch: number, window: number): Row[] => rows.from(epoch, window * inWindow * batchSize, inWindow * batchSize);
  const sampled = rowsOf(0, 0);
  const lengths = chooseLengths(
    sampled.map(({ length }) => length),
    whole,
  );
  const cutsOf = (epoch: number, window: number) => {
    const cuts = groupRows(rowsOf(epoch, window), lengths, whole);
    return { epoch, window, cuts: isShuffled ? shuffle(cuts, createRandom(seed, epoch, BATCH_ORDER, window)) : cuts };
  };
  let current = cutsOf(0, 0);
  return {
    lengths,
    first: current.cuts,
    at(epoch, place) {
      const window = Math.floor(place / inWindow);
      if (current.epoch !== epoch || current.window !== window) current = cutsOf(epoch, window);
      return elementAt(current.cuts, place - window * inWindow);
    },
  };
}

function chooseLengths(sampled: readonly number[], { maxBuckets, multipleOf, maxLength }: BatchSettings): number[] {
  return chooseBuckets([...sampled, maxLength], { maxBuckets, multipleOf, limit: maxLength });
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
