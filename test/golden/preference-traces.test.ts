/** Losses, gradients and metrics of preferences against TRL's trainers to 1e-5, and four steps of AdamW for rows, LoRA and everything. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { BUCKETS, freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import { type PairBatch, pairSource, planPairs } from '../../trainer/data/batch/pair-batches.ts';
import type { Pair, TokenSequence } from '../../trainer/data/types.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { targetModules } from '../../trainer/method/targets.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { CausalModel } from '../../trainer/model/model-spec.ts';
import type { WeightSource } from '../../trainer/model/weight-source.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { pairMeasures, type RewardOf } from '../../trainer/objective/preference/pair-measures.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import { parseRecipe } from '../../trainer/protocol/parse-recipe.ts';
import type { Recipe } from '../../trainer/protocol/recipe-schema.ts';
import { meansOf } from '../../trainer/train/measure-sums.ts';
import type { Task } from '../../trainer/train/task.ts';
import { evalSignature, trainProgram, trainSignature } from '../../trainer/train/train-program.ts';
import { gradientVariable, updateGroups } from '../../trainer/train/update-group.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { openOthers } from '../support/engines.ts';
import { lossTrace, TRACE_OPTIMIZER } from '../support/loss-trace.ts';
import { settingsOf } from '../support/method-settings.ts';

interface Case {
  readonly loss_type?: string;
  readonly label_smoothing?: number;
  readonly pairs: number;
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly [norm: number, withWave: number]>>;
  readonly metrics: Readonly<Record<string, number>>;
}
type Reference = Readonly<Record<'chosen' | 'rejected', readonly number[]>>;
interface Golden {
  readonly lr: number;
  readonly rank: number;
  readonly alpha: number;
  readonly lengths: readonly { readonly prompt: number; readonly chosen: number; readonly rejected: number }[];
  readonly dpo: {
    readonly folders: Readonly<Record<string, { readonly reference: Reference; readonly cases: Readonly<Record<string, Case>> }>>;
    readonly traces: Readonly<Record<'full' | 'spsft' | 'lora', readonly number[]>>;
  };
}
const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, 'preference_traces.json'), 'utf8'));
const { lr, rank, alpha, lengths } = golden;
const settings = settingsOf({ rank, loraAlpha: alpha, seed: 0 });

// Ids, rows and the start of LoRA are those of make_preference_traces.py.
const idsOf = (vocabulary: number, start: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => ((start * 29 + i * 37 + 5) % (vocabulary - 3)) + 3);
const side = (prompt: readonly number[], answer: readonly number[]): TokenSequence => ({
  ids: Int32Array.from([...prompt, ...answer]),
  train: Uint8Array.from([...prompt.map(() => 0), ...answer.map(() => 1)]),
});
const pairsOf = (vocabulary: number, count: number): Pair[] =>
  lengths.slice(0, count).map(({ prompt, chosen, rejected }, k) => {
    const asked = idsOf(vocabulary, 3 * k, prompt);
    const [better, worse] = [idsOf(vocabulary, 3 * k + 1, chosen), idsOf(vocabulary, 3 * k + 2, rejected)];
    return { chosen: side(asked, better), rejected: side(asked, worse), file: 'golden', line: k + 1 };
  });
const rowsOf = (count: number) => Int32Array.from(new Set([0, 2, Math.floor(count / 2), count - 1])).sort();

/** All of an answer's log-probability under the reference on its first token: the losses see sums. */
const batchOf = async (model: CausalModel, count: number, reference?: Reference): Promise<PairBatch> => {
  const pairs = pairsOf(model.vocabularySize, count);
  const plan = planPairs(pairs, { batchSize: count, maxLength: 64, packing: false, ...freeOrder(0), ...BUCKETS });
  const nllOf = (sequence: number): Float32Array => Float32Array.of(-(reference?.[sequence % 2 ? 'rejected' : 'chosen'][sequence >> 1] ?? 0));
  return pairSource({ plan, pairs, padId: 0, baseNlls: nllOf }).fill(plan.epoch(0)[0] as never) as Promise<PairBatch>;
};

const recipeOf = (...overrides: readonly string[]): Recipe => parseRecipe('model: m\ntask: dpo\n', { overrides }).recipe as Recipe;
const wave = (values: Float32Array): number => values.reduce((sum, value, i) => sum + value * Math.sin(0.7 * i), 0);
const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

interface Opened {
  readonly model: CausalModel;
  readonly weights: WeightSource;
  readonly close: () => Promise<void>;
}
async function open(name: string): Promise<Opened> {
  const folder = await openModel(join(import.meta.dirname, name));
  return { model: causalModel(folder.config), weights: folder.weights, close: () => folder.weights.close() };
}

async function judged(engine: Engine, { model, weights }: Opened, task: Task, batch: PairBatch) {
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
    gradients.set(group.name, (await session.read(gradientVariable(group).name)).slice() as Float32Array);
  await session.dispose();
  return { evaluated, trained, gradients };
}

function startOf(model: CausalModel): Map<string, HostArray> {
  const start = new Map<string, HostArray>();
  for (const { name, weight } of targetModules(model, settings)) {
    const [out = 1, width = 1] = weight.shape;
    const a = Float32Array.from({ length: rank * width }, (_, at) => (((Math.floor(at / width) * 31 + (at % width) * 17) % 23) - 11) / 100);
    start.set(`${name}.lora_A.weight`, a).set(`${name}.lora_B.weight`, new Float32Array(out * rank));
  }
  return start;
}

async function losses(engine: Engine, method: MethodName): Promise<number[]> {
  const { model, weights, close } = await open('llama');
  const task = tasks.dpo(model, recipeOf());
  const first = await batchOf(model, lengths.length);
  const { evaluated } = await judged(engine, { model, weights, close }, task, first);
  const { nll } = evaluated as { nll: Float32Array };
  const modules = targetModules(model, settings);
  const selection = new Map(method === 'spsft' ? modules.map(({ name, weight }) => [name, rowsOf(weight.shape[0] as number)] as const) : []);
  const found = await lossTrace(engine, {
    ...{ task, attachment: methods[method].attach(model, settings, selection), recompute: 'none', rate: lr, shape: first.bucket },
    ...{ model: weightStream(model, weights), start: method === 'lora' ? startOf(model) : new Map() },
    feeds: { ...first.feeds(first.targetCount), baseNll: nll.slice() },
  });
  await close();
  return found;
}

const close = (found: number, wanted: number, what: string): void =>
  expect(Math.abs(found - wanted), `${what}: ${found}, TRL ${wanted}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted)));

for (const { name, engine, missing } of await openOthers())
  describe.skipIf(!engine)(`${name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    const dpoReward: RewardOf = ({ ratio }) => 0.1 * ratio;
    for (const [folder, { reference, cases }] of Object.entries(golden.dpo.folders))
      test.each(Object.entries(cases))(`dpo on ${folder}: %s`, async (_, wanted) => {
        const opened = await open(folder);
        const overrides = Object.entries({ loss_type: wanted.loss_type, label_smoothing: wanted.label_smoothing ?? 0 });
        const recipe = recipeOf(...overrides.map(([key, value]) => `preference.${key}=${value}`));
        const batch = await batchOf(opened.model, wanted.pairs, reference);
        const { evaluated, trained, gradients } = await judged(engine as Engine, opened, tasks.dpo(opened.model, recipe), batch);
        close(trained.loss?.[0] as number, wanted.loss, 'loss');
        close(evaluated.loss?.[0] as number, wanted.loss, 'evaluated loss');
        expect([...gradients.keys()].length).toBe(Object.keys(wanted.gradients).length);
        for (const [parameter, [size, withWave]] of Object.entries(wanted.gradients)) {
          const own = gradients.get(parameter) as Float32Array;
          close(norm(own), size, `norm of the gradient of ${parameter}`);
          close(wave(own), withWave, `gradient of ${parameter}`);
        }
        const means = meansOf(pairMeasures(batch, trained.nll, { reward: dpoReward, usesReference: true }));
        const names = { reward_chosen: 'rewards/chosen', reward_rejected: 'rewards/rejected', margin: 'rewards/margins', accuracy: 'rewards/accuracies' };
        for (const [ours, theirs] of Object.entries({ ...names, logp_chosen: 'logps/chosen', logp_rejected: 'logps/rejected' }))
          close(means[ours] as number, wanted.metrics[theirs] as number, theirs);
        await opened.close();
      });
    test.each(['full', 'spsft', 'lora'] as const)('dpo, four steps: %s', async method => {
      const found = await losses(engine as Engine, method);
      found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden.dpo.traces[method][i] as number, 4));
    });
  });
