/** Measures one configuration of a true-size model, executed as in a run, in its own process: prints one JSON line. */

import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { MeasureName } from '../../trainer/catalog/measures.ts';
import { createBatchPlan } from '../../trainer/data/batch/batch-plan.ts';
import { tokenSource } from '../../trainer/data/batch/batches.ts';
import type { Session } from '../../trainer/engine/engine.ts';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import { encodeFloat32 } from '../../trainer/format/float-format.ts';
import { writeSafetensors } from '../../trainer/format/safetensors/safetensors-writer.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { scoreModel } from '../../trainer/importance/score-model.ts';
import { processMemory, resetPeak } from '../../trainer/machine/process-memory.ts';
import { trainableCount } from '../../trainer/method/method.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { untouchedIn } from '../../trainer/objective/untouched-in.ts';
import { codeBytes, tokenizerBytes } from '../../trainer/plan/memory/engine-overhead.ts';
import { priceRun, vocabularyOf } from '../../trainer/plan/memory/predict.ts';
import { planRun, planTargets, type RunPlan } from '../../trainer/plan/run-plan.ts';
import { optimizerFeeds } from '../../trainer/train/optimizer.ts';
import { readSnapshot } from '../../trainer/train/snapshot.ts';
import { trainSignature } from '../../trainer/train/train-passes.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { batchFeeds } from '../batch-feeds.ts';
import { checkDevice, type Device } from '../device.ts';
import { benchRecipe } from '../recipe.ts';
import { readRequest } from '../request.ts';

/** The request from `bench/true-size/true-size.ts`. */
export interface TrueSizeRequest {
  readonly folder: string;
  readonly cacheDir: string;
  readonly device: Device;
  /** Lines of a recipe: method, precision, level. */
  readonly recipe: string;
  /** Number of steps; the first is a warm-up. */
  readonly steps: number;
  /** Set to score the rows with this measure instead of training. */
  readonly measure?: MeasureName;
}

export interface TrueSizeStep {
  readonly trainable: number;
  /** From opening the folder to the last variable. */
  readonly loadSeconds: number;
  readonly firstStepSeconds: number;
  readonly stepSeconds: readonly number[];
  readonly losses: readonly number[];
  readonly peakBytes: number;
  /** The estimate for the recipe, without a tokenizer and without code, which may or may not be resident. */
  readonly predictedBytes: number;
  /** The peak to compare with the estimate, without code. */
  readonly measuredBytes: number;
  readonly checkpoint: { readonly bytes: number; readonly seconds: number };
}

export interface TrueSizeScores {
  readonly rows: number;
  /** Seconds of loading and of the passes over the samples. */
  readonly seconds: number;
  readonly peakBytes: number;
}

const SAMPLES = 2;

const request = readRequest<TrueSizeRequest>();
const engine = await openEngine('tensorflow', { cacheDir: request.cacheDir });
checkDevice(engine, request.device);
const recipe = benchRecipe(request.recipe);
const begin = performance.now();
const seconds = (): number => (performance.now() - begin) / 1000;
const folder = await openModel(request.folder);
const plan = planRun({
  recipe,
  headers: { config: folder.config, tensors: folder.weights.tensors },
  on: { engine: 'tensorflow', device: request.device },
});
process.stdout.write(`${JSON.stringify(request.measure ? await score(request.measure) : await train())}\n`);
process.exit(0);

async function train(): Promise<TrueSizeStep> {
  const { model, attachment, optimizer } = plan;
  const [shape] = plan.trainShapes;
  if (!shape || recipe.recompute === 'auto') throw new Error('the recipe names a recompute level');
  const program = plan.program(recipe.recompute);
  const name = trainSignature(shape);
  const signature = program.signatures[name];
  if (!signature) throw new Error(`the program has no ${name}`);
  const batch = batchFeeds(signature, model, shape);
  const session = await engine.compile(program, { offloadFolder: tmpdir() });
  await loadVariables(session, {
    model: weightStream(model, folder.weights, { storage: attachment.storage }),
    attachment,
    optimizer,
  });
  await folder.weights.close();
  const loadSeconds = seconds();
  globalThis.gc?.();
  resetPeak();
  const stepSeconds: number[] = [];
  const losses: number[] = [];
  for (let step = 1; step <= request.steps; step++) {
    const started = performance.now();
    const { loss } = await session.run(name, { ...batch, ...optimizerFeeds(optimizer, 1e-4, step), seed: Int32Array.of(0, step) });
    stepSeconds.push((performance.now() - started) / 1000);
    losses.push(Number(loss?.[0]));
  }
  const memory = processMemory();
  const [firstStepSeconds = Number.NaN, ...others] = stepSeconds;
  const vocabulary = tokenizerBytes(vocabularyOf(model), 'tensorflow');
  return {
    trainable: trainableCount(attachment),
    loadSeconds,
    firstStepSeconds,
    stepSeconds: others,
    losses,
    peakBytes: memory.peakBytes,
    predictedBytes: priceRun(plan).totalBytes - vocabulary - codeBytes('tensorflow'),
    measuredBytes: memory.peakBytes - memory.codeBytes,
    checkpoint: await writeCheckpoint(session, plan),
  };
}

/** Writes everything that a checkpoint contains to one file. */
async function writeCheckpoint(session: Session, { attachment, optimizer }: RunPlan): Promise<TrueSizeStep['checkpoint']> {
  const file = path.join(request.folder, `checkpoint-${createHash('sha256').update(request.recipe).digest('hex').slice(0, 8)}`);
  const started = performance.now();
  const parts: { name: string; shape: readonly number[]; data: HostArray }[] = [];
  for await (const { spec, data } of readSnapshot(session, attachment, optimizer)) parts.push({ name: spec.name, shape: spec.shape, data });
  const bytes = parts.reduce((sum, { data }) => sum + data.byteLength, 0);
  const entries = parts.map(({ name, shape, data }) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: () => encodeFloat32(data instanceof Float32Array ? data : Float32Array.from(data), 'F32'),
  }));
  await writeSafetensors(file, entries);
  const taken = (performance.now() - started) / 1000;
  await rm(file);
  return { bytes, seconds: taken };
}

async function score(measure: MeasureName): Promise<TrueSizeScores> {
  const { model, task, precision } = plan;
  if (model.kind !== 'causal') throw new Error('a language model is expected');
  const tokens = recipe.max_length ?? 512;
  const sequences = Array.from({ length: SAMPLES }, (_, sample) => ({
    ids: Int32Array.from({ length: tokens }, (_id, i) => ((sample * tokens + i) * 7919 + 13) % model.vocabularySize),
    train: Uint8Array.from({ length: tokens }, (_id, i) => Math.min(i, 1)),
  }));
  const sizes = { maxBuckets: 1, multipleOf: 1, targetMultiple: 1, maxTargetSizes: 1 };
  const batches = createBatchPlan(sequences, {
    batchSize: 1,
    maxLength: tokens,
    packing: false,
    shuffle: false,
    grouped: true,
    seed: 0,
    ...sizes,
  });
  const data = {
    engine,
    task,
    source: tokenSource({ plan: batches, sequences, padId: 0, packed: false }),
    recompute: 'block' as const,
    exact: false,
    sweepBytes: 0,
    // As before training: no rows are held separately from a quantized weight.
    storage: untouchedIn(model, precision).storage,
  };
  resetPeak();
  const { modules } = planTargets(recipe, model);
  const { scores } = await scoreModel({ measure, model, modules, weights: folder.weights, seed: 0, data });
  const rows = [...scores.values()].reduce((sum, values) => sum + values.length, 0);
  if (![...scores.values()].every(values => values.every(Number.isFinite))) throw new Error('a score is not a number');
  return { rows, seconds: seconds(), peakBytes: processMemory().peakBytes };
}
