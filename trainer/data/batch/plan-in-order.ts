/**
 * Plans batches of samples whose lengths are unknown until they are needed. Without length groups, each batch takes the next rows in order,
 * and has the same samples as in `planBatches`. With length groups, rows of similar length are put together within windows of about a
 * thousand rows. The shapes follow from the first window and from the maximum row length.
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

/** Number of samples in a window. The first window, from which shapes are chosen, takes half a second to tokenize. */
export const WINDOW = 1024;

/** The samples as rows in the order of an epoch. */
interface OrderedRows {
  readonly count: number;
  /** Returns `count` rows of an epoch; fewer at its end. */
  from(epoch: number, first: number, count: number): Row[];
  readonly all: readonly Row[];
}

/** Cuts epochs into batches. */
interface Cutter {
  /** The row lengths of the shapes. */
  readonly lengths: readonly number[];
  /** The first batches of the first epoch, in any order. */
  readonly first: readonly Cut[];
  at(epoch: number, place: number): Cut;
}

/** Plans the batches. @throws DataError if there is no sample, or from reading sizes */
export function planInOrder(sizes: List<SampleSize>, settings: BatchSettings): BatchPlan {
  if (settings.packing) throw new TypeError('packing needs the lengths of all samples');
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

/**
 * Returns a function from a place in an epoch to a sample index: random, with 4 bytes per sample, or the place itself without `shuffle`.
 */
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

/** Makes each batch from the next rows. @param whole settings with the batch size of all parts together */
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
 * Puts rows of similar length together within each window, and orders its batches randomly. Windows of 50 batches are usual
 * (`LengthGroupedSampler` in Transformers).
 * @param whole settings with the batch size of all parts together
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

/** The shapes of one length. The largest holds any batch, because every token of a row except its first may be a target. */
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
