/** The pairs, gradients and start values of `make_preference_traces.py`, to test the results of TRL's trainers. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { type MethodName, methodCatalog } from '../../../trainer/catalog/methods.ts';
import type { Batch } from '../../../trainer/data/batch/batches.ts';
import type { Pair, TokenSequence } from '../../../trainer/data/types.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { float32Of, type HostArray } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import type { AnyModel, CausalModel } from '../../../trainer/model/model-spec.ts';
import type { WeightSource } from '../../../trainer/model/weight-source.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import type { Task } from '../../../trainer/train/task.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { evalSignature, trainProgram } from '../../../trainer/train/train-program.ts';
import type { TrainProgramParams } from '../../../trainer/train/training-params.ts';
import { gradientVariable, updateGroups } from '../../../trainer/train/update-group.ts';
import { loadVariables } from '../../../trainer/train/variables.ts';
import { readGoldenJson } from '../files/read-json.ts';
import { settingsOf } from '../models/method-settings.ts';
import { lossTrace, TRACE_OPTIMIZER } from './loss-trace.ts';

export const { lr, rank, alpha, lengths } = readGoldenJson(
  'preference_traces.json',
  z.object({
    lr: z.number(),
    rank: z.number(),
    alpha: z.number(),
    lengths: z.array(z.object({ prompt: z.number(), chosen: z.number(), rejected: z.number() })),
  }),
);
export const settings = settingsOf({ rank, loraAlpha: alpha, seed: 0 });

export const idsOf = (vocabulary: number, start: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => ((start * 29 + i * 37 + 5) % (vocabulary - 3)) + 3);
export const side = (prompt: readonly number[], answer: readonly number[]): TokenSequence => ({
  ids: Int32Array.from([...prompt, ...answer]),
  train: Uint8Array.from([...prompt.map(() => 0), ...answer.map(() => 1)]),
});
export const pairsOf = (vocabulary: number, count: number): Pair[] =>
  lengths.slice(0, count).map(({ prompt, chosen, rejected }, k) => {
    const asked = idsOf(vocabulary, 3 * k, prompt);
    const [better, worse] = [idsOf(vocabulary, 3 * k + 1, chosen), idsOf(vocabulary, 3 * k + 2, rejected)];
    return { chosen: side(asked, better), rejected: side(asked, worse), file: 'golden', line: k + 1 };
  });
/** Returns the trained rows of a layer. */
export const rowsOf = (count: number) => Int32Array.from(new Set([0, 2, Math.floor(count / 2), count - 1])).sort();

export interface OpenedFolder<Model extends AnyModel = AnyModel> {
  readonly model: Model;
  readonly weights: WeightSource;
}

/** Returns the outputs of an evaluation and of a training step on one batch, and the gradients of that step by parameter. */
export async function judged(engine: Engine, { model, weights }: OpenedFolder, task: Task, batch: Batch) {
  const attachment = methods.full.attach(model, settings, new Map());
  const shape = batch.bucket;
  const shared = { task, attachment, optimizer: TRACE_OPTIMIZER, maxGradNorm: 0, accumulationSteps: 2, recompute: 'none' as const };
  const session = await engine.compile(trainProgram({ ...shared, trainShapes: [shape], evalShapes: [shape] }));
  await loadVariables(session, { model: weightStream(model, weights), attachment, optimizer: TRACE_OPTIMIZER, accumulates: true });
  const feeds = batch.feeds(batch.targetCount);
  const evaluated = await session.run(evalSignature(shape), feeds);
  const trained = await session.run(trainSignature(shape), { ...feeds, seed: Int32Array.of(0, 0) });
  const gradients = new Map<string, Float32Array>();
  for (const group of updateGroups(attachment.trainables, TRACE_OPTIMIZER))
    gradients.set(group.name, float32Of(await session.read(gradientVariable(group).name)).slice());
  await session.dispose();
  return { evaluated, trained, gradients };
}

export interface TuningParams extends Partial<Pick<TrainProgramParams, 'recompute'>> {
  readonly task: Task;
  readonly method: MethodName;
  readonly batch: Pick<Batch, 'bucket'>;
  readonly feeds: Readonly<Record<string, HostArray>>;
}

/** Returns the losses before each of four updates and after the last one. */
export function tuningTrace(
  engine: Engine,
  { model, weights }: OpenedFolder,
  { task, method, batch, feeds, recompute = 'none' }: TuningParams,
): Promise<number[]> {
  const modules = methodCatalog[method].chooses === 'rows' ? targetModules(model, settings) : [];
  const selection = new Map(modules.map(({ name, weight }) => [name, rowsOf(weight.shape[0] as number)] as const));
  return lossTrace(engine, {
    ...{ task, attachment: methods[method].attach(model, settings, selection), recompute, rate: lr, shape: batch.bucket, feeds },
    ...{ model: weightStream(model, weights), start: methodCatalog[method].lowRank === 'factors' ? startOf(model) : new Map() },
  });
}

/** Opens a language model of the golden folders. */
export async function openGolden(name: string): Promise<OpenedFolder<CausalModel> & { readonly close: () => Promise<void> }> {
  const folder = await openModel(join(import.meta.dirname, '..', '..', 'golden', name));
  return { model: causalModel(folder.config), weights: folder.weights, close: () => folder.weights.close() };
}

/** Start values of LoRA. */
function startOf(model: AnyModel): Map<string, HostArray> {
  const start = new Map<string, HostArray>();
  for (const { name, weight } of targetModules(model, settings)) {
    const [out = 1, width = 1] = weight.shape;
    const a = Float32Array.from({ length: rank * width }, (_, at) => (((Math.floor(at / width) * 31 + (at % width) * 17) % 23) - 11) / 100);
    start.set(`${name}.lora_A.weight`, a).set(`${name}.lora_B.weight`, new Float32Array(out * rank));
  }
  return start;
}

const wave = (values: Float32Array): number => values.reduce((sum, value, i) => sum + value * Math.sin(0.7 * i), 0);
const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

/** Expects a value within 1e-5 of TRL's; relative for values above 1. */
export const close = (found: number, wanted: number, what: string): void =>
  expect(Math.abs(found - wanted), `${what}: ${found}, TRL ${wanted}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted)));

/** The norm of each parameter's gradient, and its dot product with a wave. */
export const gradientsForm = z.record(z.string(), z.tuple([z.number(), z.number()]));
export type GoldenGradients = z.infer<typeof gradientsForm>;

export function checkGradients(gradients: ReadonlyMap<string, Float32Array>, wanted: GoldenGradients): void {
  expect([...gradients.keys()].length).toBe(Object.keys(wanted).length);
  for (const [parameter, [size, withWave]] of Object.entries(wanted)) {
    const own = gradients.get(parameter) ?? new Float32Array();
    close(norm(own), size, `norm of the gradient of ${parameter}`);
    close(wave(own), withWave, `gradient of ${parameter}`);
  }
}
