/** Tests laws of batches: every target once per epoch, nothing across segments, little padding, and an order that can be resumed. */
import { describe, expect, it } from 'vitest';
import type { BatchPlan, BatchSettings } from '../../../trainer/data/batch/batch-plan.ts';
import { createBatchPlan } from '../../../trainer/data/batch/batch-plan.ts';
import type { Batch } from '../../../trainer/data/batch/batches.ts';
import { dataStart, epochBatches, isTokenBatch, stepAt, stepsPerEpoch, tokenSource } from '../../../trainer/data/batch/batches.ts';
import { chooseBuckets } from '../../../trainer/data/batch/choose-buckets.ts';
import { chunkSequence, packSequences } from '../../../trainer/data/batch/pack-sequences.ts';
import type { TokenSequence } from '../../../trainer/data/types.ts';
import { countTargets } from '../../../trainer/data/types.ts';
import { createRandom, permutation } from '../../../trainer/random.ts';

const PAD = -7;
const base: BatchSettings = {
  batchSize: 4,
  maxLength: 100,
  packing: false,
  shuffle: true,
  grouped: true,
  seed: 5,
  maxBuckets: 4,
  multipleOf: 8,
  targetMultiple: 4,
  maxTargetSizes: 1,
};

/** Sequences with unique ids, so that the origin of a target is known; some lengths are rare, and some targets are in the middle. */
function sequencesOf(count: number, seed: number): TokenSequence[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const length = 2 + random.below(random.below(4) === 0 ? 99 : 20);
    const ids = Int32Array.from({ length }, (_, position) => index * 1000 + position);
    const train = Uint8Array.from({ length }, (_, position) =>
      position > 0 && (position === length - 1 || random.below(3) === 0) ? 1 : 0,
    );
    return { ids, train };
  });
}

const sourceOf = (sequences: readonly TokenSequence[], plan: BatchPlan) => tokenSource({ plan, sequences, padId: PAD, packed: true });

const variants: [string, Partial<BatchSettings>][] = [
  ['buckets', {}],
  ['packing', { packing: true }],
  ['two target sizes', { maxTargetSizes: 2 }],
  ['buckets without shuffling', { shuffle: false }],
  ['not grouped', { grouped: false }],
  ['in order', { shuffle: false, grouped: false }],
  ['in order, packed', { shuffle: false, grouped: false, packing: true }],
  ['one row a batch', { batchSize: 1 }],
  ['a batch larger than the data', { batchSize: 200 }],
];

describe.each(variants)('createBatchPlan: %s', (_, changes) => {
  const sequences = sequencesOf(83, 1);
  const plan = createBatchPlan(sequences, { ...base, ...changes });
  const source = sourceOf(sequences, plan);

  it.each([0, 1, 7])('has every target and every sequence exactly once in epoch %i', async epoch => {
    const batches = await Promise.all(plan.epoch(epoch).map(each => source.fill(each)));
    const expected = sequences.flatMap(({ ids, train }) => [...ids].filter((_, i) => train[i] === 1)).sort((a, b) => a - b);
    const found = batches.flatMap(batch => [...batch.targetIds].filter((_, slot) => batch.targetWeights[slot] === 1));
    expect(found.sort((a, b) => a - b)).toEqual(expected);
    const samples = batches.flatMap(batch => batch.sampleIndices);
    expect(samples.sort((a, b) => a - b)).toEqual(sequences.map((_, index) => index));
    expect(batches).toHaveLength(plan.batchesPerEpoch);
  });

  it('predicts each target from the position before it in the same segment', async () => {
    for await (const batch of epochBatches(source, 3)) {
      for (const [slot, id] of batch.targetIds.entries()) {
        const from = batch.targetPositions[slot] ?? -1;
        if (batch.targetWeights[slot] === 0) {
          expect([id, from, batch.targetSamples[slot]]).toEqual([0, 0, -1]);
          continue;
        }
        expect(batch.ids[from]).toBe(id - 1);
        expect(batch.ids[from + 1]).toBe(id);
        expect(batch.segments[from + 1]).toBe(batch.segments[from]);
        expect(Math.floor(from / batch.bucket.tokens)).toBe(Math.floor((from + 1) / batch.bucket.tokens));
        expect(batch.targetSamples[slot]).toBe(Math.floor(id / 1000));
      }
    }
  });

  it('keeps segments and positions in step with the tokens, and its shapes to those it names', async () => {
    for await (const batch of epochBatches(source, 2)) {
      expect(plan.buckets).toContainEqual(batch.bucket);
      expect(batch.ids).toHaveLength(batch.bucket.batch * batch.bucket.tokens);
      expect(batch.targetIds).toHaveLength(batch.bucket.targets);
      for (const [at, id] of batch.ids.entries()) {
        expect([batch.segments[at] === 0, batch.positions[at]]).toEqual(id === PAD ? [true, 0] : [false, id % 1000]);
      }
      expect(batch.tokenCount).toBe(batch.ids.filter(id => id !== PAD).length);
      expect(batch.targetCount).toBe(batch.targetWeights.reduce((sum, weight) => sum + weight, 0));
    }
  });

  it('is resumed exactly from any cursor, and is deterministic', async () => {
    const again = sourceOf(sequences, createBatchPlan(sequences, { ...base, ...changes }));
    const summary = (batches: readonly Batch[]) =>
      batches.map(batch => Object.entries(batch.feeds(1)).map(([name, values]) => [name, ...values]));
    const steps = 2 * stepsPerEpoch(plan, 3);
    let cursor = dataStart;
    for (let step = 0; step < steps; step++) {
      const whole = await stepAt(source, cursor, 3);
      const resumed = await stepAt(again, { ...cursor }, 3);
      expect(summary(resumed.batches)).toEqual(summary(whole.batches));
      expect(whole.targetCount).toBe(whole.batches.reduce((sum, batch) => sum + batch.targetCount, 0));
      cursor = whole.next;
    }
    expect(cursor).toEqual({ epoch: 2, batchIndex: 0 });
  });
});

describe('an epoch', () => {
  const lengthsOf = (seed: number): TokenSequence[] => sequencesOf(20 + seed, seed);

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])('has ⌈samples / batch⌉ batches, grouped or not (seed %i)', seed => {
    const sequences = lengthsOf(seed);
    for (const batchSize of [2, 3, 4, 5, 7])
      for (const grouped of [true, false])
        for (const shuffle of [true, false]) {
          const plan = createBatchPlan(sequences, { ...base, batchSize, grouped, shuffle, maxBuckets: 3 });
          for (const epoch of [0, 1, 2]) expect(plan.epoch(epoch).length).toBe(Math.ceil(sequences.length / batchSize));
        }
  });

  it('of a run begun by an older version keeps its batches, which may be more', () => {
    const most = [...Array(40).keys()].map(seed => {
      const sequences = lengthsOf(seed + 1);
      const settings = { ...base, batchSize: 4, maxBuckets: 3 };
      return (
        createBatchPlan(sequences, { ...settings, looseGroups: true }).batchesPerEpoch -
        createBatchPlan(sequences, settings).batchesPerEpoch
      );
    });
    expect(Math.min(...most)).toBe(0);
    expect(Math.max(...most)).toBeGreaterThan(0);
  });

  it('in order: each batch is the next samples of the files, in every epoch', () => {
    const sequences = sequencesOf(23, 3);
    const plan = createBatchPlan(sequences, { ...base, shuffle: false, grouped: false });
    for (const epoch of [0, 4])
      expect(plan.epoch(epoch).map(({ rows }) => rows.flatMap(row => row.sequences))).toEqual(
        [0, 4, 8, 12, 16, 20].map(begin => [...sequences.keys()].slice(begin, begin + 4)),
      );
  });

  it('in order and packed: a row takes the next samples until one does not fit', () => {
    const sequences = sequencesOf(40, 4);
    const plan = createBatchPlan(sequences, { ...base, shuffle: false, grouped: false, packing: true });
    const rows = plan.epoch(0).flatMap(batch => batch.rows);
    expect(rows.flatMap(row => row.sequences)).toEqual([...sequences.keys()]);
    for (const [i, { length }] of rows.entries()) {
      const next = rows[i + 1]?.sequences[0];
      if (next !== undefined) expect(length + (sequences[next]?.ids.length ?? 0)).toBeGreaterThan(base.maxLength);
    }
  });
});

describe('weights of targets', () => {
  const sequences = sequencesOf(40, 6);
  const withWeights = (weightOf: (position: number) => number): TokenSequence[] =>
    sequences.map((sequence, i) =>
      i % 3 === 0 ? sequence : { ...sequence, weights: Float32Array.from(sequence.ids, (_, at) => weightOf(at)) },
    );
  const steps = async (some: readonly TokenSequence[], changes: Partial<BatchSettings>, accumulationSteps: number) => {
    const plan = createBatchPlan(some, { ...base, ...changes });
    const source = sourceOf(some, plan);
    const found = [];
    for (let cursor = dataStart; cursor.epoch === 0; ) {
      const step = await stepAt(source, cursor, accumulationSteps);
      found.push({ ...step, feeds: step.batches.map(batch => batch.feeds(step.targetCount)) });
      cursor = step.next;
    }
    return found;
  };

  it('that are all 1 change nothing, to the bit', async () => {
    const plain = await steps(sequences, {}, 3);
    const weighted = await steps(
      withWeights(() => 1),
      {},
      3,
    );
    expect(weighted.map(({ targetCount, feeds }) => [targetCount, feeds])).toEqual(
      plain.map(({ targetCount, feeds }) => [targetCount, feeds]),
    );
  });

  it.each([
    ['one batch a step', {}, 1],
    ['accumulated batches', {}, 3],
    ['packed', { packing: true }, 2],
  ] satisfies [string, Partial<BatchSettings>, number][])(
    'make the loss of a step their weighted mean (%s)',
    async (_, changes, accumulationSteps) => {
      const weightOf = (at: number): number => [1, 0.25, 0.07][at % 3] ?? 1;
      const found = await steps(withWeights(weightOf), changes, accumulationSteps);
      for (const { batches, feeds, targetCount } of found) {
        const expected = batches.filter(isTokenBatch).map(({ targetIds, targetSamples }) =>
          Array.from(targetIds, (id, slot) => {
            const sample = targetSamples[slot] ?? -1;
            return sample < 0 ? 0 : sample % 3 === 0 ? 1 : weightOf(id % 1000);
          }),
        );
        const sum = expected.flat().reduce((total, weight) => total + weight, 0);
        expect(targetCount).toBeCloseTo(sum, 5);
        for (const [i, feed] of feeds.entries())
          for (const [slot, weight] of (expected[i] ?? []).entries()) expect(feed.targetWeights?.[slot]).toBeCloseTo(weight / sum, 6);
      }
    },
  );
});

describe('createBatchPlan', () => {
  it('shuffles by seed and epoch', () => {
    const order = (seed: number, epoch: number) =>
      createBatchPlan(sequencesOf(40, 2), { ...base, seed })
        .epoch(epoch)
        .flatMap(batch => batch.rows.flatMap(row => row.sequences))
        .join();
    expect(new Set([order(1, 0), order(1, 1), order(2, 0), order(2, 1)]).size).toBe(4);
    expect(order(1, 1)).toBe(order(1, 1));
  });

  it('pads no more than one bucket for all, and packing pads least', () => {
    const sequences = sequencesOf(400, 3);
    const padding = (changes: Partial<BatchSettings>) => createBatchPlan(sequences, { ...base, ...changes }).paddingShare;
    expect(padding({ maxBuckets: 4 })).toBeLessThan(padding({ maxBuckets: 1 }));
    expect(padding({ packing: true })).toBeLessThan(padding({ maxBuckets: 4 }));
    expect(padding({ packing: true })).toBeLessThan(0.06);
  });

  it('buckets add at most one short batch each', () => {
    const plan = createBatchPlan(sequencesOf(83, 4), base);
    const short = plan.epoch(0).filter(batch => batch.rows.length < batch.bucket.batch);
    expect(short.length).toBeLessThanOrEqual(new Set(plan.buckets.map(bucket => bucket.tokens)).size);
    expect(plan.batchesPerEpoch).toBeLessThanOrEqual(Math.ceil(83 / 4) + 3);
  });

  it('refuses no data, a sequence that is too long, and a cursor outside', async () => {
    const sequences = sequencesOf(9, 5);
    expect(() => createBatchPlan([], base)).toThrow('no sample');
    expect(() => createBatchPlan(sequences, { ...base, maxLength: 3 })).toThrow('expected at most 3');
    const source = sourceOf(sequences, createBatchPlan(sequences, base));
    await expect(stepAt(source, { epoch: 0, batchIndex: 99 }, 1)).rejects.toThrow('batch 99 of epoch 0');
  });
});

describe('chooseBuckets', () => {
  /** Tries every choice of bucket lengths. */
  function leastPositions(lengths: readonly number[], maxBuckets: number, multipleOf: number): number {
    const sizes = [...new Set(lengths.map(length => Math.ceil(length / multipleOf) * multipleOf))].sort((a, b) => a - b);
    let least = Number.POSITIVE_INFINITY;
    for (let mask = 0; mask < 2 ** sizes.length; mask++) {
      const chosen = sizes.filter((_, index) => (mask >> index) & 1);
      if (chosen.length <= maxBuckets && chosen.at(-1) === sizes.at(-1)) least = Math.min(least, positions(lengths, chosen));
    }
    return least;
  }
  const positions = (lengths: readonly number[], buckets: readonly number[]) =>
    lengths.reduce((sum, length) => sum + (buckets.find(bucket => bucket >= length) ?? Number.NaN), 0);

  it('finds the least padding, but leaves out buckets that gain too little', () => {
    const random = createRandom(11);
    for (let trial = 0; trial < 60; trial++) {
      const lengths = Array.from({ length: 1 + random.below(40) }, () => 1 + random.below(64));
      for (const maxBuckets of [1, 2, 3, 4]) {
        const buckets = chooseBuckets(lengths, { maxBuckets, multipleOf: 8 });
        expect(buckets.length).toBeLessThanOrEqual(maxBuckets);
        expect(positions(lengths, buckets)).toBe(leastPositions(lengths, buckets.length, 8));
        expect(positions(lengths, buckets)).toBeLessThanOrEqual(
          positions(lengths, chooseBuckets(lengths, { maxBuckets: 1, multipleOf: 8 })),
        );
      }
    }
  });

  it('keeps to the limit and to multiples, and is fast for many lengths', () => {
    expect(chooseBuckets([], { maxBuckets: 4, multipleOf: 32 })).toEqual([]);
    expect(chooseBuckets([90, 97], { maxBuckets: 1, multipleOf: 32, limit: 100 })).toEqual([100]);
    expect(chooseBuckets([5, 5, 60], { maxBuckets: 4, multipleOf: 32 })).toEqual([32, 64]);
    const many = chooseBuckets(
      Array.from({ length: 100_000 }, (_, i) => i),
      { maxBuckets: 4, multipleOf: 1 },
    );
    expect(many).toHaveLength(4);
    expect(many.at(-1)).toBeGreaterThanOrEqual(99_999);
  });
});

describe('packSequences and chunkSequence', () => {
  it('packs each sequence once, into rows that fit, within 11/9 of the best', () => {
    const random = createRandom(13);
    for (let trial = 0; trial < 20; trial++) {
      const lengths = Array.from({ length: 1 + random.below(200) }, () => 1 + random.below(64));
      const rows = packSequences(lengths, 64, trial);
      expect(rows.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, index) => index));
      const total = (row: readonly number[]) => row.reduce((sum, index) => sum + (lengths[index] ?? 0), 0);
      expect(Math.max(...rows.map(total))).toBeLessThanOrEqual(64);
      expect(rows.length).toBeLessThanOrEqual((11 / 9) * Math.ceil(total(lengths.map((_, i) => i)) / 64) + 6 / 9 + 1);
    }
  });

  it('cuts a document into parts in which every token but the first is a target once', () => {
    for (const length of [2, 7, 8, 9, 15, 16, 22, 50]) {
      const ids = Int32Array.from({ length }, (_, i) => i);
      const chunks = chunkSequence({ ids, train: new Uint8Array(length).fill(1).fill(0, 0, 1) }, 8);
      const targets = chunks.flatMap(chunk => [...chunk.ids].filter((_, i) => chunk.train[i] === 1));
      expect(targets).toEqual([...ids].slice(1));
      for (const chunk of chunks) expect([chunk.ids.length <= 8, chunk.train[0], countTargets(chunk) > 0]).toEqual([true, 0, true]);
    }
  });
});

describe('createRandom', () => {
  it('keeps its values: runs are resumed across versions', () => {
    const random = createRandom(42, 0);
    expect([random.uint32(), random.uint32(), random.below(10)]).toMatchInlineSnapshot(`
      [
        216865411,
        355676967,
        6,
      ]
    `);
    expect([...permutation(8, createRandom(42, 1))]).toMatchInlineSnapshot(`
      [
        4,
        2,
        0,
        1,
        5,
        7,
        6,
        3,
      ]
    `);
  });

  it('is uniform, and differs by each key and their order', () => {
    const random = createRandom(3);
    const counts = new Array<number>(6).fill(0);
    for (let draw = 0; draw < 60_000; draw++) {
      const value = random.below(6);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
    const firsts = [createRandom(1, 2), createRandom(2, 1), createRandom(1), createRandom(1, 2, 0), createRandom(1 + 2 ** 32, 2)];
    expect(new Set(firsts.map(generator => generator.uint32())).size).toBe(5);
  });
});
