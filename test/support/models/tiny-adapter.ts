/** Tunes a tiny Llama for a few steps with any method, and saves it as an adapter. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { describeAdapter, writeAdapter } from '../../../trainer/adapter/write-adapter.ts';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { type ModelFolder, openModel } from '../../../trainer/hub/open-model.ts';
import { magnitude } from '../../../trainer/importance/row-scores.ts';
import type { MethodSettings } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { weightStream, withInitial } from '../../../trainer/model/weight-stream.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { type Budget, selectRows } from '../../../trainer/selection.ts';
import { optimizerFeeds } from '../../../trainer/train/optimizer.ts';
import { readSnapshot } from '../../../trainer/train/snapshot.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { trainProgram } from '../../../trainer/train/train-program.ts';
import { loadVariables } from '../../../trainer/train/variables.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';
import { scattered, settingsOf } from './method-settings.ts';

export const TINY_LLAMA = join(import.meta.dirname, '..', '..', 'golden', 'llama');
const STEPS = 4;
const optimizer = { name: 'adamw', weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 } as const;

export interface TinyAdapterParams {
  readonly engine: Engine;
  readonly method: MethodName;
  readonly budget: Budget;
  readonly targets?: readonly string[];
  readonly base?: string;
  readonly settings?: Partial<MethodSettings>;
}

/** Copies the tiny Llama with a tokenizer that has one token per character. */
export async function tinyWithTokenizer(): Promise<string> {
  const folder = await temporaryFolder();
  for (const part of ['llama', 'tiny-tokenizer']) await cp(join(TINY_LLAMA, '..', part), folder, { recursive: true });
  return folder;
}

/** @returns the adapter's folder */
export async function tinyAdapter({
  engine,
  method,
  budget,
  targets = ['all-linear'],
  base = TINY_LLAMA,
  settings: changes = {},
}: TinyAdapterParams): Promise<string> {
  const folder = await openModel(base);
  const model = causalModel(folder.config);
  const rank = 'r' in budget ? budget.r : 4;
  const settings = settingsOf({ targetModules: targets, budget, rank, loraAlpha: 16, ...changes });
  const selection =
    method === 'spsft' && settings.trains === 'rows' ? await byMagnitude(folder, targets, budget) : scattered(model, method, settings);
  const attachment = methods[method].attach(model, settings, selection);
  const shape = { batch: 1, tokens: 16, targets: 15 };
  const program = trainProgram({
    task: causalTask(model),
    attachment,
    optimizer,
    maxGradNorm: 0,
    accumulationSteps: 1,
    recompute: 'none',
    trainShapes: [shape],
    evalShapes: [],
  });
  const session = await engine.compile(program);
  await loadVariables(session, { model: weightStream(model, folder.weights), attachment, optimizer });
  const ids = Int32Array.from({ length: shape.tokens }, (_, i) => (i * 31 + 7) % model.vocabularySize);
  for (let step = 1; step <= STEPS; step++) {
    await session.run(trainSignature(shape), {
      ids,
      targetPositions: Int32Array.from({ length: shape.targets }, (_, i) => i),
      targetIds: ids.slice(1),
      targetWeights: new Float32Array(shape.targets).fill(1 / shape.targets),
      seed: Int32Array.of(0, step),
      ...optimizerFeeds(optimizer, 0.02, step),
    });
  }
  const values = new Map<string, HostArray>();
  for await (const { spec, data } of readSnapshot(session, attachment, optimizer)) values.set(spec.name, data);
  await session.dispose();
  const fingerprint = await folder.weights.fingerprint();
  await folder.weights.close();
  const description = describeAdapter(attachment, { source: base, revision: '', fingerprint });
  const tensors = attachment.trainables.map(({ name, shape: of }) => ({ name, shape: of, data: () => valueFor(values, name) }));
  const dir = join(await temporaryFolder(), 'adapter');
  await writeAdapter(dir, { description, tensors });
  return dir;
}

async function byMagnitude(folder: ModelFolder, targets: readonly string[], budget: Budget) {
  const model = causalModel(folder.config);
  const weights = withInitial(model, folder.weights);
  const modules = targetModules(model, { targetModules: targets, freeze: [] });
  const scores = new Map<string, Float32Array>();
  for (const { name, weight } of modules) scores.set(name, magnitude(await weights.readFloat32(weight.name), weight.shape[0] as number));
  return selectRows(modules, scores, budget);
}
