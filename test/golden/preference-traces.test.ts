/** Losses, gradients and metrics of preferences against TRL's trainers to 1e-5, and four steps of AdamW for rows, LoRA and everything. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { objectiveCatalog } from '../../trainer/catalog/objectives.ts';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { BUCKETS, freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import { type PairBatch, pairSource, planPairs, withPromptTargets } from '../../trainer/data/batch/pair-batches.ts';
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
import { pairMeasures, type RewardOf, rewardPerToken } from '../../trainer/objective/preference/pair-measures.ts';
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
  readonly beta?: number;
  readonly gamma?: number;
  readonly pairs: number;
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly [norm: number, withWave: number]>>;
  readonly metrics: Readonly<Record<string, number>>;
}
type Reference = Readonly<Record<'chosen' | 'rejected', readonly number[]>>;
interface Objective {
  readonly folders: Readonly<Record<string, { readonly reference?: Reference; readonly cases: Readonly<Record<string, Case>> }>>;
  readonly traces: Readonly<Record<'full' | 'spsft' | 'lora', readonly number[]>>;
}
const objectives = ['dpo', 'orpo', 'simpo'] as const;
type Name = (typeof objectives)[number];
interface Golden extends Readonly<Record<Name, Objective>> {
  readonly lr: number;
  readonly rank: number;
  readonly alpha: number;
  readonly lengths: readonly { readonly prompt: number; readonly chosen: number; readonly rejected: number }[];
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
const batchOf = async (name: Name, model: CausalModel, count: number, reference?: Reference): Promise<PairBatch> => {
  const pairs = pairsOf(model.vocabularySize, count);
  const { learnsChosen } = objectiveCatalog[name].compares ?? {};
  const plan = planPairs(learnsChosen ? withPromptTargets(pairs) : pairs, { batchSize: count, maxLength: 64, packing: false, ...freeOrder(0), ...BUCKETS });
  const nllOf = (sequence: number): Float32Array => Float32Array.of(-(reference?.[sequence % 2 ? 'rejected' : 'chosen'][sequence >> 1] ?? 0));
  return pairSource({ plan, pairs, padId: 0, baseNlls: nllOf, learnsChosen }).fill(plan.epoch(0)[0] as never) as Promise<PairBatch>;
};

const SETTINGS = ['loss_type', 'label_smoothing', 'beta', 'gamma'] as const;
const recipeOf = (task: Name, given: Partial<Case>): Recipe => {
  const overrides = SETTINGS.flatMap(key => (given[key] === undefined ? [] : [`preference.${key}=${given[key]}`]));
  return parseRecipe(`model: m\ntask: ${task}\n`, { overrides }).recipe as Recipe;
};
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
  const feeds = batch.feeds(batch.targetCount, [batch]);
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

async function losses(engine: Engine, objective: Name, method: MethodName): Promise<number[]> {
  const { model, weights, close } = await open('llama');
  const [given = {}] = Object.values(golden[objective].folders.llama?.cases ?? {});
  const task = tasks[objective](model, recipeOf(objective, given));
  const first = await batchOf(objective, model, lengths.length);
  const { evaluated } = await judged(engine, { model, weights, close }, task, first);
  const { nll } = evaluated as { nll: Float32Array };
  const modules = targetModules(model, settings);
  const selection = new Map(method === 'spsft' ? modules.map(({ name, weight }) => [name, rowsOf(weight.shape[0] as number)] as const) : []);
  const found = await lossTrace(engine, {
    ...{ task, attachment: methods[method].attach(model, settings, selection), recompute: 'none', rate: lr, shape: first.bucket },
    ...{ model: weightStream(model, weights), start: method === 'lora' ? startOf(model) : new Map() },
    feeds: { ...first.feeds(first.targetCount, [first]), baseNll: nll.slice() },
  });
  await close();
  return found;
}

/** Ours and TRL's. */
const MEASURES = {
  reward_chosen: 'rewards/chosen',
  reward_rejected: 'rewards/rejected',
  margin: 'rewards/margins',
  accuracy: 'rewards/accuracies',
  nll: 'nll_loss',
} as const;

function checkMeasures(objective: Name, { preference }: Recipe, { metrics }: Case, batch: PairBatch, nll: HostArray | undefined): void {
  const { usesReference = false, learnsChosen = false } = objectiveCatalog[objective].compares ?? {};
  const ofRatio: RewardOf = ({ ratio }) => preference.beta * ratio;
  const reward = usesReference ? ofRatio : rewardPerToken(preference);
  const means = meansOf(pairMeasures(batch, nll, { reward, usesReference, learnsChosen }));
  for (const [ours, theirs] of Object.entries(MEASURES))
    if (ours in means) close(means[ours] as number, metrics[theirs] as number, theirs);
  expect(Object.keys(means)).toEqual(expect.arrayContaining(['margin', ...(learnsChosen ? ['nll'] : []), ...(usesReference ? ['kl'] : [])]));
  if (usesReference) for (const side of ['chosen', 'rejected']) close(means[`logp_${side}`] as number, metrics[`logps/${side}`] as number, side);
}

const close = (found: number, wanted: number, what: string): void =>
  expect(Math.abs(found - wanted), `${what}: ${found}, TRL ${wanted}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted)));

for (const { name, engine, missing } of await openOthers())
  describe.skipIf(!engine)(`${name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    describe.each(objectives)('%s', objective => {
      for (const [folder, { reference, cases }] of Object.entries(golden[objective].folders))
        test.each(Object.entries(cases))(`${folder}: %s`, async (_, wanted) => {
          const opened = await open(folder);
          const recipe = recipeOf(objective, wanted);
          const batch = await batchOf(objective, opened.model, wanted.pairs, reference);
          const { evaluated, trained, gradients } = await judged(engine as Engine, opened, tasks[objective](opened.model, recipe), batch);
          close(trained.loss?.[0] as number, wanted.loss, 'loss');
          close(evaluated.loss?.[0] as number, wanted.loss, 'evaluated loss');
          expect([...gradients.keys()].length).toBe(Object.keys(wanted.gradients).length);
          for (const [parameter, [size, withWave]] of Object.entries(wanted.gradients)) {
            const own = gradients.get(parameter) as Float32Array;
            close(norm(own), size, `norm of the gradient of ${parameter}`);
            close(wave(own), withWave, `gradient of ${parameter}`);
          }
          checkMeasures(objective, recipe, wanted, batch, trained.nll);
          await opened.close();
        });
      test.each(['full', 'spsft', 'lora'] as const)('four steps: %s', async method => {
        const found = await losses(engine as Engine, objective, method);
        found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden[objective].traces[method][i] as number, 4));
      });
    });
  });
