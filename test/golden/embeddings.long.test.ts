/** Embeddings against sentence-transformers: vectors and losses within 1e-5, gradients within 1e-3 of their norm, training, and retrieval. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { groupSource } from '../../trainer/data/batch/group-batches.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { backward } from '../../trainer/graph/gradient.ts';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { type Pooling, poolingModes } from '../../trainer/model/model-spec.ts';
import { Tracer } from '../../trainer/model/tracer.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { required } from '../../trainer/narrow.ts';
import { embeddingTask } from '../../trainer/objective/embedding/embedding-task.ts';
import { planGroups } from '../../trainer/objective/group-setup.ts';
import { askedQueries, retrievalMeasures, unit } from '../../trainer/objective/embedding/retrieval.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { cachedGradients } from '../support/runs/cached-gradients.ts';
import { classifierOf, withoutDropout } from '../support/models/classifier-of.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { everyNth, lossesForm, lossTrace, waveFactors } from '../support/golden/loss-trace.ts';
import { settingsOf } from '../support/models/method-settings.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const rows = z.array(z.array(z.number()));
const caseForm = z.object({
  settings: z.record(z.string(), z.unknown()),
  texts: z.number(),
  pooling: z.object({ mode: z.enum(poolingModes), normalize: z.boolean() }),
  loss: z.number(),
  grads: z.record(z.string(), z.object({ l2: z.number(), first4: z.array(z.number()) })),
  /** The vectors of the anchors. */
  vectors: rows,
});
type Case = z.infer<typeof caseForm>;
const golden = readGoldenJson(
  'embeddings.json',
  z.object({
    rate: z.number(),
    every: z.number(),
    rank: z.number(),
    alpha: z.number(),
    scores: z.array(z.number()),
    texts: z.array(rows),
    cases: z.record(z.string(), caseForm),
    trace: lossesForm,
    retrieval: z.object({ queries: rows, documents: rows, relevant: rows, measures: z.record(z.string(), z.number()) }),
  }),
);

const dir = join(import.meta.dirname, 'bert');
const settingsOfCase = (settings: Readonly<Record<string, unknown>>): Recipe['embedding'] =>
  recipeOf('model=m', 'task=embedding', ...Object.entries(settings).map(([name, value]) => `embedding.${name}=${JSON.stringify(value)}`)).embedding;

async function openEmbedder(pooling: Pooling) {
  const folder = await openModel(dir);
  return { model: withoutDropout(classifierOf(folder.config, { problem: 'embedding', pooling })), folder };
}

/** The samples in a batch of this many; rows without a sample count for nothing. */
async function batchOf(texts: number, batchSize = golden.texts.length) {
  const groups = golden.texts.map((sides, i) => ({
    texts: sides.slice(0, texts).map(ids => Int32Array.from(ids)),
    score: golden.scores[i] as number,
    file: 'x',
    line: i + 1,
  }));
  const plan = planGroups(groups, { rowsPerSample: texts, batchSize, maxLength: 16, seed: 1, shuffle: false, grouped: false });
  const source = groupSource({ plan, groups, rowsPerSample: texts, padId: 0, types: true });
  const [planned] = source.plan.epoch(0);
  if (!planned) throw new Error('no batch');
  const batch = await source.fill(planned);
  return { shape: batch.bucket, feeds: batch.feeds(batch.targetCount) };
}

async function compute(engine: Engine, { settings, texts, pooling }: Case, batchSize?: number): Promise<Record<string, HostArray>> {
  const { model, folder } = await openEmbedder(pooling);
  const { shape, feeds } = await batchOf(texts, batchSize);
  const task = embeddingTask(model, settingsOfCase(settings));
  if (task.cached) {
    const batch = { shape, rows: texts * golden.texts.length, feeds, seedOf: () => Int32Array.of(0, 0) };
    const found = await cachedGradients(engine, { ...batch, task, model: weightStream(model, folder.weights) });
    await folder.weights.close();
    return found;
  }
  const graph = new Graph();
  const tracer = new Tracer({ graph });
  const { loss, vectors } = task.evaluation(tracer, shape);
  if (!loss || !vectors) throw new Error('no outputs');
  const parameters = model.parameters.map(spec => ({ name: spec.name, node: graph.read({ ...spec, dtype: 'float32' }) }));
  const gradients = backward(graph, {
    seeds: [{ node: loss, gradient: graph.scalar(1) }],
    wrt: new Map(parameters.map(({ node }) => [node, {}])),
    policy: 'none',
  });
  const outputs = { loss, vectors, ...Object.fromEntries(parameters.map(({ name, node }) => [name, gradients.get(node) ?? graph.scalar(0)])) };
  const session = await engine.compile(assemble({ run: { graph, outputs, effects: [] } }));
  await session.load(weightStream(model, folder.weights));
  const found = await session.run('run', feeds);
  await session.dispose();
  await folder.weights.close();
  return found;
}

function expectCase(found: Record<string, HostArray>, { loss, grads, vectors, texts }: Case): void {
  expect(Math.abs((found.loss?.[0] as number) - loss) / Math.max(1, Math.abs(loss))).toBeLessThan(1e-5);
  // A training over mini-batches gives none.
  (found.vectors ? vectors : []).forEach((vector, sample) => {
    const start = sample * texts * vector.length;
    vector.forEach((value, i) => expect(Math.abs((found.vectors?.[start + i] as number) - value), `vector ${sample}`).toBeLessThan(1e-5));
  });
  const largest = Math.max(...Object.values(grads).map(({ l2 }) => l2));
  for (const [name, { l2, first4 }] of Object.entries(grads)) {
    const gradient = required(found[name], name);
    const norm = Math.hypot(...gradient);
    const error = Math.max(Math.abs(norm - l2), ...first4.map((value, i) => Math.abs((gradient[i] as number) - value)));
    expect(error / Math.max(l2, 1e-4 * largest), name).toBeLessThan(1e-3);
  }
}

describeOn(await openOthers(), engine => {
  test.each(Object.entries(golden.cases))('%s', async (_, expected) => {
    expectCase(await compute(engine, expected), expected);
  });

  test.each(['pairs', 'symmetric', 'triplet', 'pairs_max'])('%s: rows without a sample change nothing', async name => {
    const expected = required(golden.cases[name], name);
    expectCase(await compute(engine, expected, 5), expected);
  });

  test.each([
    ['symmetric', 2, 3],
    ['pairs_max', 1, 3],
    ['triplet', 2, 5],
    ['matryoshka', 2, 5],
    ['cosine', 5, 5],
  ])('%s in mini-batches of %i samples, %i in a batch', async (name, miniBatch, batchSize) => {
    const expected = required(golden.cases[name], name);
    const settings = { ...expected.settings, mini_batch_size: miniBatch };
    expectCase(await compute(engine, { ...expected, settings }, batchSize), expected);
  });

  test.each([
    ['full', undefined],
    ['spsft', undefined],
    ['lora', undefined],
    ['full', 2],
    ['spsft', 2],
    ['lora', 1],
  ] as const)('four steps of %s, mini-batches: %s', async (method, miniBatch) => {
    const found = await traceOf(engine, method, miniBatch);
    found.forEach((loss, i) => expect(loss, `loss ${i}`).toBeCloseTo(golden.trace[method][i] as number, 4));
  });
});

async function traceOf(engine: Engine, method: MethodName, miniBatch: number | undefined): Promise<number[]> {
  const { model, folder } = await openEmbedder({ mode: 'mean', normalize: true });
  const modules = model.modules.filter(({ kind }) => kind === 'linear');
  const settings = settingsOf({ rank: golden.rank, loraAlpha: golden.alpha, ...(method !== 'full' && { targetModules: modules.map(({ name }) => name) }) });
  const selection = new Map(modules.map(({ name, weight }) => [name, everyNth(weight.shape[0] as number, golden.every)]));
  const attachment = methods[method].attach(model, settings, selection);
  const start = method === 'lora' ? waveFactors(attachment, modules, ({ weight }) => weight.name) : new Map<string, HostArray>();
  const { shape, feeds } = await batchOf(3);
  const found = await lossTrace(engine, {
    ...{ task: embeddingTask(model, settingsOfCase({ negatives: 1, ...(miniBatch !== undefined && { mini_batch_size: miniBatch }) })), attachment, recompute: 'none', start, shape, rate: golden.rate, feeds },
    model: weightStream(model, folder.weights),
  });
  await folder.weights.close();
  return found;
}

test('as many queries are asked as time allows, spread evenly, and each looks among all documents', () => {
  expect(askedQueries(5000, 384 * 5000)).toHaveLength(5000);
  const asked = askedQueries(20_000, 384 * 20_000);
  expect([asked.length, asked[0], asked[1]]).toEqual([1302, 0, 15]);
  expect(asked.at(-1)).toBeGreaterThan(19_980);
  expect(askedQueries(1000, 1e12)).toHaveLength(100);
});

test('retrieval is measured as InformationRetrievalEvaluator does', () => {
  const { queries, documents, relevant, measures } = golden.retrieval;
  const units = (rows: readonly (readonly number[])[]): Float32Array[] => rows.map(row => unit(Float32Array.from(row)));
  const found = retrievalMeasures({ queries: units(queries), documents: units(documents), relevant: relevant.map(places => new Set(places)) });
  for (const [name, value] of Object.entries(measures)) expect(found[name], name).toBeCloseTo(value, 10);
});
