/**
 * Tests the batches of a pass that processes or devices divide: each is computed once, with others of its shape, and the result equals that
 * of one device.
 */
import { expect, test } from 'vitest';
import type { PlannedBatch } from '../../../trainer/data/batch/batch-plan.ts';
import type { Batch, BatchSource } from '../../../trainer/data/batch/batches.ts';
import { type EvaluateParams, evaluate } from '../../../trainer/job/evaluate.ts';
import { Job } from '../../../trainer/job/job.ts';
import { sharedBatches } from '../../../trainer/job/shared-batches.ts';
import { required } from '../../../trainer/narrow.ts';
import { runForEach } from '../../../trainer/train/run-on-each.ts';

const bucketOf = (tokens: number) => ({ batch: 2, tokens, targets: 2 });
/** Batches by number of tokens; the samples of a batch are its index and 100 more. */
const LENGTHS = [8, 8, 16, 8, 16, 8, 8, 32];
const planned: readonly PlannedBatch[] = LENGTHS.map((tokens, at) => ({
  epoch: 0,
  bucket: bucketOf(tokens),
  rows: [at, at + 100].map(sample => ({ sequences: [sample], length: tokens, targets: 1 })),
}));

function sourceOf(filled: PlannedBatch[] = [], released: Batch[] = []): BatchSource {
  const plan = {
    rows: planned.flatMap(({ rows }) => rows),
    buckets: [8, 16, 32].map(bucketOf),
    batchesPerEpoch: planned.length,
    paddingShare: 0,
    epoch: () => planned,
  };
  return {
    plan,
    fill: batch => {
      filled.push(batch);
      const sampleIndices = batch.rows.flatMap(({ sequences }) => sequences);
      const feeds = () => ({ samples: Float32Array.from(sampleIndices) });
      return { bucket: batch.bucket, sampleIndices, tokenCount: 2, targetCount: 2, feeds };
    },
    release: batch => released.push(batch),
  };
}

test.each([1, 2, 3, 8])('%i devices compute batches of one shape at the same time, each batch once', async devices => {
  const [filled, released]: [PlannedBatch[], Batch[]] = [[], []];
  const rounds: { readonly places: readonly number[]; readonly shapes: ReadonlySet<number>; readonly done: number }[] = [];
  for await (const { batches, done } of sharedBatches(sourceOf(filled, released), { devices })) {
    expect(released).toHaveLength(done - batches.length);
    const places = batches.map(({ sampleIndices }) => required(sampleIndices[0], 'a sample'));
    rounds.push({ places, shapes: new Set(batches.map(({ bucket }) => bucket.tokens)), done });
  }
  for (const { places, shapes } of rounds) {
    expect(places.length).toBeLessThanOrEqual(devices);
    expect(shapes.size).toBe(1);
  }
  const order = rounds.flatMap(({ places }) => places);
  expect(order.toSorted((a, b) => a - b)).toEqual(planned.map((_, at) => at));
  // One device computes them in order.
  if (devices === 1) expect(order).toEqual(planned.map((_, at) => at));
  // Five of 8 tokens, two of 16, one of 32.
  expect(rounds).toHaveLength([5, 2, 1].reduce((sum, count) => sum + Math.ceil(count / devices), 0));
  expect(rounds.map(({ done }) => done)).toEqual(rounds.map((_, i) => rounds.slice(0, i + 1).flatMap(({ places }) => places).length));
  expect(filled).toHaveLength(planned.length);
  expect(released).toHaveLength(planned.length);
});

/** A session whose signature doubles the samples, and the feeds it received. */
function doubling() {
  const fed: (readonly number[])[][] = [];
  const double = ({ samples = [] }: Readonly<Record<string, ArrayLike<number>>>) => ({
    doubled: Float32Array.from(samples, value => 2 * value),
  });
  return {
    fed,
    session: {
      load: async () => undefined,
      read: async () => new Float32Array(),
      readAll: async () => [],
      dispose: async () => undefined,
      run: async (_: string, feeds: Readonly<Record<string, ArrayLike<number>>>) => {
        fed.push([[...Float32Array.from(feeds.samples ?? [])]]);
        return double(feeds);
      },
      runEach: async (_: string, feeds: readonly Readonly<Record<string, ArrayLike<number>>>[]) => {
        fed.push(feeds.map(({ samples = [] }) => [...Float32Array.from(samples)]));
        return feeds.map(double);
      },
    },
  };
}

const evaluated = async (session: EvaluateParams['session'], devices: number) => {
  const seen = new Map<number, number>();
  const startTally = () => ({
    add: ({ sampleIndices }: Batch, { doubled = new Float32Array() }) => {
      for (const [row, sample] of sampleIndices.entries()) seen.set(sample, Number(doubled[row]));
    },
    result: () => ({ loss: [...seen.values()].reduce((a, b) => a + b, 0), samples: seen.size, targets: seen.size }),
  });
  const evaluator = { source: sourceOf(), samples: 16, extraFeeds: () => ({}), startTally };
  const found = await evaluate({ session, evaluator, job: new Job(() => undefined), devices });
  return { seen, result: { ...found, seconds: 0 } };
};

test('an evaluation on several devices has the result of one, in fewer rounds', async () => {
  const [one, two] = [doubling(), doubling()];
  const [alone, shared] = [await evaluated(one.session, 1), await evaluated(two.session, 2)];
  expect(alone.seen.size).toBe(16);
  for (const [sample, value] of shared.seen) expect(value).toBe(2 * sample);
  expect(shared.result).toEqual(alone.result);
  expect(one.fed).toHaveLength(8);
  // The last batch of 8 tokens and that of 32 are alone in their rounds, so both devices compute them.
  expect(two.fed.map(feeds => feeds.map(([first]) => first))).toEqual([
    [0, 1],
    [3, 5],
    [6, 6],
    [2, 4],
    [7, 7],
  ]);
});

test('a session of one device is refused by name', async () => {
  const { session } = doubling();
  const feeds = [{ samples: Float32Array.of(1) }];
  await expect(runForEach({ run: session.run }, 'eval/2x8', { feeds, devices: 2 })).rejects.toThrow(
    'eval/2x8 is to run on 2 devices, and this engine runs on one',
  );
});
