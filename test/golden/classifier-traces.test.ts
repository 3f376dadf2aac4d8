/** Four steps of AdamW on classifiers of every family, by all parameters, by rows and by low-rank factors, against PyTorch: losses within 1e-4. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { elementCount, type HostArray, type Shape } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { ClassifierModel } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { classifierTask } from '../../trainer/objective/classifier/classifier-task.ts';
import { optimizerFeeds } from '../../trainer/train/optimizer.ts';
import { trainProgram, trainSignature } from '../../trainer/train/train-program.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { feedsOfClassifier } from '../../trainer/verify/classifier-reference.ts';
import { imageSizeOf, readGolden } from '../../trainer/verify/golden.ts';
import { openOthers, openReference } from '../support/engines.ts';
import { settingsOf } from '../support/method-settings.ts';

interface Trace {
  /** Weights of which some rows train, and those that get low-rank factors. */
  readonly rows: readonly string[];
  readonly low_rank: readonly string[];
  /** Losses before each of four steps, and after the last. */
  readonly full: readonly number[];
  readonly spsft: readonly number[];
  readonly lora: readonly number[];
}

const traces = JSON.parse(readFileSync(join(import.meta.dirname, 'classifier_traces.json'), 'utf8')) as {
  readonly every: number;
  readonly rate: number;
  readonly rank: number;
  readonly alpha: number;
  readonly folders: Readonly<Record<string, Trace>>;
};
const STEPS = 4;
const optimizer = { name: 'adamw', weightDecay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 } as const;

/** The start values of low-rank factors in `scripts/make_classifier_traces.py`. */
function wave(shape: Shape, phase: number): Float32Array {
  return Float32Array.from({ length: elementCount(shape) }, (_, at) => 0.1 * Math.sin(0.7 * at + phase));
}

function attachmentOf(model: ClassifierModel, method: MethodName, trace: Trace) {
  const asked = new Set(method === 'spsft' ? trace.rows : trace.low_rank);
  const modules = model.modules.filter(({ weight }) => asked.has(weight.name));
  expect(modules.length).toBe(asked.size);
  const everyThird = (count: number) => Int32Array.from({ length: Math.ceil(count / traces.every) }, (_, i) => i * traces.every);
  const settings = settingsOf({ rank: traces.rank, loraAlpha: traces.alpha, ...(method !== 'full' && { targetModules: modules.map(({ name }) => name) }) });
  const attachment = methods[method].attach(model, settings, new Map(modules.map(({ name, weight }) => [name, everyThird(weight.shape[0] as number)])));
  const start = new Map<string, HostArray>();
  if (method === 'lora')
    for (const { name, shape } of attachment.trainables) {
      const module = modules.find(each => name.startsWith(`${each.name}.lora_`));
      start.set(name, wave(shape, (module?.weight.name.length ?? 0) + (name.includes('lora_B') ? 1 : 0)));
    }
  return { attachment, start };
}

async function losses(engine: Engine, name: string, method: MethodName, trace: Trace): Promise<number[]> {
  const dir = join(import.meta.dirname, name);
  const folder = await openModel(dir);
  const golden = await readGolden(join(dir, 'golden.json'));
  const model = loadModel(folder.config, { imageSize: imageSizeOf(golden) }) as ClassifierModel;
  const batch = golden.labels.shape[0] as number;
  const shape = { batch, tokens: golden.inputs.input_ids?.shape[1] ?? 1, targets: batch };
  const { attachment, start } = attachmentOf(model, method, trace);
  const steps = { maxGradNorm: 0, accumulationSteps: 1, recompute: 'none', trainShapes: [shape], evalShapes: [] } as const;
  const session = await engine.compile(trainProgram({ task: classifierTask(withoutDropout(model)), attachment, optimizer, ...steps }));
  await loadVariables(session, { model: weightStream(model, folder.weights), attachment, optimizer, start });
  const found: number[] = [];
  for (let step = 1; step <= STEPS + 1; step++) {
    const scalars = Object.entries(optimizerFeeds(optimizer, traces.rate, step)).map(([key, value]) => [key, Float32Array.of(value)]);
    const feeds = { ...feedsOfClassifier(model, golden), seed: Int32Array.of(0, 0), ...Object.fromEntries(scalars) };
    found.push(((await session.run(trainSignature(shape), feeds)).loss as Float32Array)[0] as number);
  }
  await session.dispose();
  await folder.weights.close();
  return found;
}

/** PyTorch's steps drop nothing. */
const withoutDropout = (model: ClassifierModel): ClassifierModel => ({
  ...model,
  logits: (tracer, batch) => model.logits(Object.create(tracer, { seed: { value: undefined } }), batch),
});

/** One engine is enough here, since `verify.test.ts` holds all of them to the same gradients: TensorFlow, where it is installed. */
const others = await openOthers();
const engine = others.find(each => each.name === 'tensorflow')?.engine ?? (await openReference());

describe.each(Object.entries(traces.folders))('%s', (name, trace) => {
  test.each(['full', 'spsft', 'lora'] as const)('%s', async method => {
    const found = await losses(engine, name, method, trace);
    found.forEach((loss, i) => expect(loss, `loss ${i}`).toBeCloseTo(trace[method][i] as number, 4));
  });
});
