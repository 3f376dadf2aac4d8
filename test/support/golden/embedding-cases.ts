/** Compares embeddings with sentence-transformers: batches of tokenized texts, the model's results, and the comparison. */
import { expect } from 'vitest';
import { z } from 'zod';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import { groupSource } from '../../../trainer/data/batch/group-batches.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { inputOf } from '../../../trainer/model/model-spec.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { required } from '../../../trainer/narrow.ts';
import { embeddingTask } from '../../../trainer/objective/embedding/embedding-task.ts';
import { planGroups } from '../../../trainer/objective/group-setup.ts';
import type { Pooling } from '../../../trainer/protocol/pooling.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { classifierOf, withoutDropout } from '../models/classifier-of.ts';
import { settingsOf } from '../models/method-settings.ts';
import { cachedGradients } from '../runs/cached-gradients.ts';
import { recipeOf } from '../runs/recipe-of.ts';
import { everyNth, lossTrace, waveFactors } from './loss-trace.ts';

export const rowsForm = z.array(z.array(z.number()));
export const caseForm = z.object({
  settings: z.record(z.string(), z.unknown()),
  texts: z.number(),
  loss: z.number(),
  grads: z.record(z.string(), z.object({ l2: z.number(), first4: z.array(z.number()) })),
  /** The embeddings of the anchors. */
  vectors: rowsForm,
});
type Case = z.infer<typeof caseForm>;

/** A model folder with its pooling, and the texts of each sample. */
export interface Embeddings {
  readonly dir: string;
  readonly pooling: Pooling;
  readonly texts: readonly (readonly (readonly number[])[])[];
  readonly scores?: readonly number[];
}

/** Settings of the trace scripts. */
export interface TraceSettings {
  readonly rate: number;
  readonly every: number;
  readonly rank: number;
  readonly alpha: number;
}

const settingsOfCase = (settings: Readonly<Record<string, unknown>>): Recipe['embedding'] =>
  recipeOf('model=m', 'task=embedding', ...Object.entries(settings).map(([name, value]) => `embedding.${name}=${JSON.stringify(value)}`))
    .embedding;

async function openEmbedder({ dir, pooling }: Embeddings) {
  const folder = await openModel(dir);
  return { model: withoutDropout(classifierOf(folder.config, { problem: 'embedding', pooling })), folder };
}

/** Creates a batch of this size; rows without a sample have no weight. */
async function batchOf({ texts: all, scores }: Embeddings, texts: number, types: boolean, batchSize = all.length) {
  const groups = all.map((sides, i) => ({
    texts: sides.slice(0, texts).map(ids => Int32Array.from(ids)),
    score: scores?.[i] ?? 0,
    file: 'x',
    line: i + 1,
  }));
  const plan = planGroups(groups, { rowsPerSample: texts, batchSize, maxLength: 16, seed: 1, shuffle: false, grouped: false });
  const source = groupSource({ plan, groups, rowsPerSample: texts, padId: 0, types });
  const [planned] = source.plan.epoch(0);
  if (!planned) throw new Error('no batch');
  const batch = await source.fill(planned);
  return { shape: batch.bucket, feeds: batch.feeds(batch.targetCount) };
}

/** Returns the loss, the embeddings [texts, width], and the gradient of each parameter by name. */
export async function computeCase(
  engine: Engine,
  of: Embeddings,
  { settings, texts }: Pick<Case, 'settings' | 'texts'>,
  batchSize?: number,
): Promise<Record<string, HostArray>> {
  const { model, folder } = await openEmbedder(of);
  const { shape, feeds } = await batchOf(of, texts, inputOf(model, 'tokens').tokenTypes > 1, batchSize);
  const task = embeddingTask(model, settingsOfCase(settings));
  if (task.cached) {
    const batch = { shape, rows: texts * of.texts.length, feeds, seedOf: () => Int32Array.of(0, 0) };
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
  const outputs = {
    loss,
    vectors,
    ...Object.fromEntries(parameters.map(({ name, node }) => [name, gradients.get(node) ?? graph.scalar(0)])),
  };
  const session = await engine.compile(assemble({ run: { graph, outputs, effects: [] } }));
  await session.load(weightStream(model, folder.weights));
  const found = await session.run('run', feeds);
  await session.dispose();
  await folder.weights.close();
  return found;
}

/** Expects loss and embeddings within 1e-5, and gradients within 1e-3 of their norm. */
export function expectCase(found: Record<string, HostArray>, { loss, grads, vectors, texts }: Case): void {
  expect(Math.abs((found.loss?.[0] as number) - loss) / Math.max(1, Math.abs(loss))).toBeLessThan(1e-5);
  // Training over mini-batches returns no embeddings.
  (found.vectors ? vectors : []).forEach((vector, sample) => {
    const start = sample * texts * vector.length;
    for (const [i, value] of vector.entries())
      expect(Math.abs((found.vectors?.[start + i] as number) - value), `vector ${sample}`).toBeLessThan(1e-5);
  });
  const largest = Math.max(...Object.values(grads).map(({ l2 }) => l2));
  for (const [name, { l2, first4 }] of Object.entries(grads)) {
    const gradient = required(found[name], name);
    const norm = Math.hypot(...gradient);
    const error = Math.max(Math.abs(norm - l2), ...first4.map((value, i) => Math.abs((gradient[i] as number) - value)));
    expect(error / Math.max(l2, 1e-4 * largest), name).toBeLessThan(1e-3);
  }
}

/** Returns the losses of four AdamW steps with a method. */
export async function traceOf(
  engine: Engine,
  of: Embeddings,
  { method, miniBatch, ...golden }: TraceSettings & { readonly method: MethodName; readonly miniBatch?: number | undefined },
): Promise<number[]> {
  const { model, folder } = await openEmbedder(of);
  const modules = model.modules.filter(({ kind, part }) => kind === 'linear' && part !== 'head');
  const settings = settingsOf({
    rank: golden.rank,
    loraAlpha: golden.alpha,
    ...(method !== 'full' && { targetModules: modules.map(({ name }) => name) }),
  });
  const selection = new Map(modules.map(({ name, weight }) => [name, everyNth(weight.shape[0] as number, golden.every)]));
  const attachment = methods[method].attach(model, settings, selection);
  const start = method === 'lora' ? waveFactors(attachment, modules, ({ weight }) => weight.name) : new Map<string, HostArray>();
  const { shape, feeds } = await batchOf(of, 3, inputOf(model, 'tokens').tokenTypes > 1);
  const found = await lossTrace(engine, {
    ...{
      task: embeddingTask(model, settingsOfCase({ negatives: 1, ...(miniBatch !== undefined && { mini_batch_size: miniBatch }) })),
      attachment,
      recompute: 'none',
      start,
      shape,
      rate: golden.rate,
      feeds,
    },
    model: weightStream(model, folder.weights),
  });
  await folder.weights.close();
  return found;
}
