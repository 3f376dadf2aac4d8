/** Tests training over mini-batches with dropout: each has the same masks in both of its passes. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Batch } from '../../../trainer/data/batch/batches.ts';
import { groupSource } from '../../../trainer/data/batch/group-batches.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { declareClassifierBatch } from '../../../trainer/model/classifier-batch.ts';
import type { ClassifierBatch, ClassifierModel } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { required } from '../../../trainer/narrow.ts';
import { embeddingTask } from '../../../trainer/objective/embedding/embedding-task.ts';
import { planGroups } from '../../../trainer/objective/group-setup.ts';
import { miniBatches } from '../../../trainer/train/train-passes.ts';
import { describeOn, openOthers } from '../../support/engines.ts';
import { classifierOf } from '../../support/models/classifier-of.ts';
import { cachedGradients } from '../../support/runs/cached-gradients.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';

const { embedding } = recipeOf('model=m', 'task=embedding', 'embedding.mini_batch_size=2');
const seedOf = (miniBatch: number): Int32Array => Int32Array.of(17 + miniBatch, 0);
/** Number of rows per sample. */
const ROWS = 2;

let folder: Awaited<ReturnType<typeof openModel>>;
let model: ClassifierModel;
let batch: Batch;
beforeAll(async () => {
  folder = await openModel(join(import.meta.dirname, '..', '..', 'golden', 'bert'));
  model = classifierOf(folder.config, { problem: 'embedding', pooling: { mode: 'mean', normalize: true } });
  const texts = (sample: number) =>
    [0, 1].map(side => Int32Array.from({ length: 4 + side }, (_, i) => 3 + ((11 * sample + 5 * side + 7 * i) % 90)));
  const groups = [0, 1, 2].map(sample => ({ texts: texts(sample), score: 0, file: 'x', line: sample + 1 }));
  const plan = planGroups(groups, { rowsPerSample: ROWS, batchSize: 3, maxLength: 8, seed: 1, shuffle: false, grouped: false });
  const source = groupSource({ plan, groups, rowsPerSample: ROWS, padId: 0, types: true });
  batch = await source.fill(required(plan.epoch(0)[0], 'a batch'));
});
afterAll(() => folder.weights.close());

/** Computes the loss and its gradients in one program, whose mini-batches use their own dropout seeds. */
async function inOneProgram(engine: Engine, seed: (miniBatch: number) => Int32Array): Promise<Record<string, HostArray>> {
  const task = embeddingTask(model, embedding);
  const cached = required(task.cached, 'the cached loss');
  const { bucket } = batch;
  const graph = new Graph();
  const whole = declareClassifierBatch(graph, model.input, bucket);
  const seeds: Record<string, Int32Array> = {};
  const vectors = miniBatches(cached, bucket).map(({ start, shape }, i) => {
    seeds[`seed ${i}`] = seed(i);
    const tracer = new Tracer({ graph, seed: graph.feed(`seed ${i}`, [2], 'int32') });
    const rows = Object.fromEntries(
      Object.entries(whole).map(([name, of]) => [name, typeof of === 'string' ? of : graph.sliceAxis(of, 0, start, shape.batch)]),
    );
    return model.logits(tracer, { ...whole, ...rows } satisfies ClassifierBatch);
  });
  const loss = cached.loss(graph, graph.concat(vectors, 0));
  const parameters = model.parameters.map(spec => ({ name: spec.name, node: graph.read({ ...spec, dtype: 'float32' }) }));
  const gradients = backward(graph, {
    seeds: [{ node: loss, gradient: graph.scalar(1) }],
    wrt: new Map(parameters.map(({ node }) => [node, {}])),
    policy: 'none',
  });
  const outputs = { loss, ...Object.fromEntries(parameters.map(({ name, node }) => [name, gradients.get(node) ?? graph.scalar(0)])) };
  const session = await engine.compile(assemble({ run: { graph, outputs, effects: [] } }));
  await session.load(weightStream(model, folder.weights));
  const found = await session.run('run', { ...batch.feeds(3), ...seeds });
  await session.dispose();
  return found;
}

/** Returns the largest difference of two sets of gradients, relative to the largest gradient. */
function distance(a: Readonly<Record<string, HostArray>>, b: Readonly<Record<string, HostArray>>): number {
  let [most, largest] = [0, 0];
  for (const { name } of model.parameters)
    required(a[name], name).forEach((value, i) => {
      most = Math.max(most, Math.abs(value - (b[name]?.[i] ?? Number.NaN)));
      largest = Math.max(largest, Math.abs(value));
    });
  return most / largest;
}

describeOn(await openOthers(), engine => {
  test('loss and gradients are those of one program', async () => {
    const task = embeddingTask(model, embedding);
    const run = { shape: batch.bucket, rows: 3 * ROWS, feeds: batch.feeds(3), seedOf };
    const found = await cachedGradients(engine, { ...run, task, model: weightStream(model, folder.weights) });
    const expected = await inOneProgram(engine, seedOf);
    expect(found.loss?.[0]).toBeCloseTo(expected.loss?.[0] as number, 5);
    expect(distance(expected, found)).toBeLessThan(1e-5);
    // Different masks would be noticed.
    expect(distance(await inOneProgram(engine, miniBatch => seedOf(miniBatch + 1)), found)).toBeGreaterThan(1e-2);
  });
});
