/** Plans the batches of every epoch: static shapes, and an order that is a pure function of (seed, epoch). */

import type { Parts } from '../../graph/graph.ts';
import { createRandom, permutation, shuffle } from '../../random.ts';
import { DataError } from '../data-error.ts';
import type { TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import { chooseBuckets } from './choose-buckets.ts';
import { packInOrder, packSequences } from './pack-sequences.ts';

export interface BatchSettings {
  /** Rows in a batch, or in one part of it. */
  readonly batchSize: number;
  /**
   * Splits each batch into this many parts, of which the plan returns one. The plans of all parts have the same shapes in the same order.
   * If left out, a batch is one part.
   */
  readonly parts?: Parts | undefined;
  /** The maximum length of a row in tokens; with packing, the length of every row. */
  readonly maxLength: number;
  readonly packing: boolean;
  readonly shuffle: boolean;
  /**
   * Whether a batch is made of rows of similar length. If not, each batch takes the next rows in order; without `shuffle`, rows are then
   * packed in the order of the sequences.
   */
  readonly grouped: boolean;
  /** Versions before 0.2 could plan up to two more batches per epoch; their runs are resumed with the same plan. */
  readonly looseGroups?: boolean;
  readonly seed: number;
  readonly maxBuckets: number;
  /** Row lengths are multiples of this. */
  readonly multipleOf: number;
  /** Numbers of target slots are multiples of this. */
  readonly targetMultiple: number;
  /** Maximum number of different target slot counts per row length. */
  readonly maxTargetSizes: number;
}

/** The static shape of a batch: `ids` is [batch, tokens], and `targets` positions are scored. */
export interface Bucket {
  readonly batch: number;
  readonly tokens: number;
  readonly targets: number;
}

/** One row of a batch: one sequence, or several that are packed one after the other. */
export interface Row {
  /** Indices into the sequences. */
  readonly sequences: readonly number[];
  readonly length: number;
  readonly targets: number;
}

/** A batch of at most `bucket.batch` rows, each at most `bucket.tokens` long, with at most `bucket.targets` targets in total. */
export interface PlannedBatch {
  readonly epoch: number;
  readonly bucket: Bucket;
  readonly rows: readonly Row[];
  /** Rows that fill the empty places of an incomplete part: the ones that an undivided batch would repeat there. */
  readonly fillers?: readonly Row[];
}

export interface BatchPlan {
  readonly rows: readonly Row[];
  /** Every shape that a batch can have, sorted by tokens, then by targets. */
  readonly buckets: readonly Bucket[];
  /** Number of batches per epoch; the same in every epoch. */
  readonly batchesPerEpoch: number;
  /** The share of positions that are padding in the first epoch. */
  readonly paddingShare: number;
  /** The batches of an epoch (from 0) in order. */
  epoch(epoch: number): readonly PlannedBatch[];
  /**
   * The batches `from` to `to` of an epoch. Present if samples are read only when a batch needs them; `rows` and `epoch` then read every
   * sample.
   */
  slice?(epoch: number, from: number, to: number): readonly PlannedBatch[];
}

/** The batches `from` to `to` of an epoch; fewer at the end of the epoch. */
export const plannedBatches = (plan: BatchPlan, epoch: number, from: number, to: number): readonly PlannedBatch[] =>
  plan.slice?.(epoch, from, to) ?? plan.epoch(epoch).slice(from, to);

/** Numbers of the random streams of one (seed, epoch). */
export const ROW_ORDER = 1;
export const BATCH_ORDER = 2;

/**
 * Plans batches such that every sequence is in exactly one batch of each epoch. An epoch has ⌈rows / batchSize⌉ batches. Rows are shuffled
 * and cut into batches. If they are grouped, they are first sorted into length buckets, and the remainder of a bucket moves up to the next
 * bucket if this saves a batch.
 * @throws DataError if there is no sequence, or one is longer than `maxLength`
 */
export const createBatchPlan = (sequences: readonly TokenSequence[], settings: BatchSettings): BatchPlan =>
  planBatches(
    sequences.map(sequence => ({ length: sequence.ids.length, targets: countTargets(sequence) })),
    settings,
  );

/** The size of a sample, which is all that planning needs. */
export interface SampleSize {
  /** Length in tokens; 1 for samples without a length. */
  readonly length: number;
  readonly targets: number;
}

/** Plans batches as `createBatchPlan` does, from the sizes of the samples alone. */
export function planBatches(sizes: Iterable<SampleSize>, settings: BatchSettings): BatchPlan {
  const rows = planRows(sizes, settings);
  const limits = { maxBuckets: settings.packing ? 1 : settings.maxBuckets, multipleOf: settings.multipleOf, limit: settings.maxLength };
  const lengths = chooseBuckets(lengthsToHold(rows, settings), limits);
  const whole = { ...settings, batchSize: settings.batchSize * (settings.parts?.count ?? 1) };
  const cut = (epoch: number): Cut[] => {
    const ordered = orderRows(rows, settings, epoch);
    return settings.grouped ? groupRows(ordered, lengths, whole) : inOrder(ordered, lengths, whole.batchSize);
  };
  const first = cut(0);
  const shapes = lengths.map((tokens, index) => {
    const own = first.filter(({ length }) => length === index);
    return targetSizes(
      rows,
      tokens,
      own.flatMap(({ rows }) => partsOf(rows, settings)),
      settings,
    );
  });
  const plannedEpoch = (epoch: number) => orderBatches(withShapes(cut(epoch), shapes, epoch, settings), settings, epoch);

  let cached: { readonly epoch: number; readonly batches: readonly PlannedBatch[] } = { epoch: 0, batches: plannedEpoch(0) };
  const used = cached.batches.reduce((sum, batch) => sum + batch.rows.reduce((length, row) => length + row.length, 0), 0);
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

function planRows(sizes: Iterable<SampleSize>, { maxLength, packing, seed, grouped, shuffle }: BatchSettings): Row[] {
  const lengths: number[] = [];
  const targets: number[] = [];
  for (const size of sizes) {
    lengths.push(size.length);
    targets.push(size.targets);
  }
  if (lengths.length === 0) throw new DataError({ problem: 'there is no sample to make batches of', advice: 'Add data' });
  const tooLong = lengths.findIndex(length => length > maxLength);
  if (tooLong >= 0) {
    const problem = `sample ${tooLong} is ${lengths[tooLong]} tokens long, expected at most ${maxLength}`;
    throw new DataError({ problem, advice: 'Raise max_length, or allow samples to be cut' });
  }
  const pack = grouped || shuffle ? () => packSequences(lengths, maxLength, seed) : () => packInOrder(lengths, maxLength);
  const groups = packing ? pack() : lengths.map((_, index) => [index]);
  const sum = (group: readonly number[], values: readonly number[]) => group.reduce((total, index) => total + (values[index] ?? 0), 0);
  return groups.map(group => ({ sequences: group, length: sum(group, lengths), targets: sum(group, targets) }));
}

function orderRows(rows: readonly Row[], settings: BatchSettings, epoch: number): readonly Row[] {
  if (!settings.shuffle) return rows;
  const order = permutation(rows.length, createRandom(settings.seed, epoch, ROW_ORDER));
  return Array.from(order, index => rows[index]).filter(row => row !== undefined);
}

/** A batch without its shape. `length` is the index of its row length in the list of lengths. */
export interface Cut {
  readonly length: number;
  readonly rows: readonly Row[];
}

/**
 * The row lengths that the shapes must hold: the length of every row if rows are grouped; otherwise the longest row of each batch of the
 * first epoch, and the longest row overall, which any batch may contain.
 */
function lengthsToHold(rows: readonly Row[], settings: BatchSettings): number[] {
  if (settings.grouped) return rows.map(({ length }) => length);
  const batches = chunks(orderRows(rows, settings, 0), settings.batchSize * (settings.parts?.count ?? 1));
  return [...batches, rows].map(longest);
}

export const longest = (rows: readonly Row[]): number => rows.reduce((most, { length }) => Math.max(most, length), 0);

export const lengthFor = (lengths: readonly number[], needed: number): number => lengths.findIndex(length => length >= needed);

const inOrder = (rows: readonly Row[], lengths: readonly number[], batchSize: number): Cut[] =>
  chunks(rows, batchSize).map(batch => ({ length: lengthFor(lengths, longest(batch)), rows: batch }));

/** Batches of rows of similar length, shortest first. */
export function groupRows(rows: readonly Row[], lengths: readonly number[], { batchSize, looseGroups }: BatchSettings): Cut[] {
  const pools: Row[][] = lengths.map(() => []);
  for (const row of rows) pools[lengthFor(lengths, row.length)]?.push(row);
  return pools.flatMap((pool, length) => {
    const [next, ...after] = pools.slice(length + 1);
    const left = pool.length % batchSize;
    const longer = (next?.length ?? 0) + (looseGroups ? 0 : after.reduce((sum, { length }) => sum + length, 0));
    if (next !== undefined && left > 0 && batchesOf(left + longer, batchSize) === batchesOf(longer, batchSize))
      next.unshift(...pool.splice(pool.length - left));
    return chunks(pool, batchSize).map(batch => ({ length, rows: batch }));
  });
}

const chunks = (rows: readonly Row[], size: number): Row[][] =>
  Array.from({ length: batchesOf(rows.length, size) }, (_, batch) => rows.slice(batch * size, (batch + 1) * size));

const batchesOf = (rows: number, batchSize: number): number => Math.ceil(rows / batchSize);

/** The shapes of one row length. The largest holds any batch that can ever form; the others fit the batches of the first epoch. */
function targetSizes(rows: readonly Row[], tokens: number, batches: readonly (readonly Row[])[], settings: BatchSettings): Bucket[] {
  const { batchSize, maxTargetSizes, targetMultiple } = settings;
  const counts = rows.filter(row => row.length <= tokens).map(row => row.targets);
  counts.sort((a, b) => b - a);
  const most = counts.slice(0, batchSize).reduce((sum, count) => sum + count, 0);
  const sizes = chooseBuckets([...batches.map(targetsOf), most], { maxBuckets: maxTargetSizes, multipleOf: targetMultiple });
  return sizes.map(targets => ({ batch: batchSize, tokens, targets }));
}

/**
 * Splits the rows of a batch into parts. The first parts are filled completely, so a row has the same place whatever the number of parts.
 */
export const partsOf = (rows: readonly Row[], { batchSize, parts }: BatchSettings): Row[][] =>
  Array.from({ length: parts?.count ?? 1 }, (_, part) => rows.slice(part * batchSize, (part + 1) * batchSize));

export const withShapes = (
  cuts: readonly Cut[],
  shapes: readonly (readonly Bucket[])[],
  epoch: number,
  settings: BatchSettings,
): PlannedBatch[] =>
  cuts.map(({ length, rows }) => {
    const parts = partsOf(rows, settings);
    // All parts have one shape, so that they take part in the same sums.
    const targets = Math.max(...parts.map(targetsOf));
    const bucket = shapes[length]?.find(shape => shape.targets >= targets);
    if (bucket === undefined) throw new RangeError(`no shape holds ${targets} targets`);
    const own = settings.parts?.own ?? 0;
    return { epoch, bucket, rows: parts[own] ?? [], ...(settings.parts && { fillers: fillersOf(rows, own, settings.batchSize) }) };
  });

/** Rows that fill the empty places of a part: the rows of the whole batch again, from its first. */
function fillersOf(rows: readonly Row[], part: number, batchSize: number): Row[] {
  const first = Math.max(rows.length, part * batchSize);
  return Array.from({ length: Math.max(0, (part + 1) * batchSize - first) }, (_, i) => rows[(first + i) % rows.length]).flatMap(
    row => row ?? [],
  );
}

export function targetsOf(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => sum + row.targets, 0);
}

function orderBatches(batches: PlannedBatch[], settings: BatchSettings, epoch: number): PlannedBatch[] {
  return settings.shuffle ? shuffle(batches, createRandom(settings.seed, epoch, BATCH_ORDER)) : batches;
}
