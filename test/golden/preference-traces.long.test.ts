/**
 * Compares losses, gradients and metrics of preferences with TRL's trainers to 1e-5, and four AdamW steps for rows, LoRA and all
 * parameters.
 */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { objectiveCatalog } from '../../trainer/catalog/objectives.ts';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import { BUCKETS, freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import { type PairBatch, pairSource, planPairs, withPromptTargets } from '../../trainer/data/batch/pair-batches.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import type { CausalModel } from '../../trainer/model/model-spec.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { pairMeasures, type RewardOf, rewardPerToken } from '../../trainer/objective/preference/pair-measures.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { meansOf } from '../../trainer/train/measure-sums.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { lossesForm } from '../support/golden/loss-trace.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { checkGradients, close, gradientsForm, judged, lengths, openGolden, pairsOf, tuningTrace } from '../support/golden/preference-golden.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const settingsForm = z.object({
  loss_type: z.string().optional(),
  label_smoothing: z.number().optional(),
  beta: z.number().optional(),
  gamma: z.number().optional(),
});
const caseForm = settingsForm.extend({
  pairs: z.number(),
  loss: z.number(),
  gradients: gradientsForm,
  metrics: z.record(z.string(), z.number()),
});
type Case = z.infer<typeof caseForm>;
const referenceForm = z.object({ chosen: z.array(z.number()), rejected: z.array(z.number()) });
const objectiveForm = z.object({
  folders: z.record(z.string(), z.object({ reference: referenceForm.optional(), cases: z.record(z.string(), caseForm) })),
  traces: lossesForm,
});
const objectives = ['dpo', 'orpo', 'simpo'] as const;
type Name = (typeof objectives)[number];
const golden = readGoldenJson('preference_traces.json', z.object({ dpo: objectiveForm, orpo: objectiveForm, simpo: objectiveForm }));
/** Puts all of an answer's log-probability under the reference on its first token, because losses only use sums. */
const batchOf = async (name: Name, model: CausalModel, count: number, reference?: z.infer<typeof referenceForm>): Promise<PairBatch> => {
  const pairs = pairsOf(model.vocabularySize, count);
  const { learnsChosen } = objectiveCatalog[name].compares ?? {};
  const plan = planPairs(learnsChosen ? withPromptTargets(pairs) : pairs, { batchSize: count, maxLength: 64, packing: false, ...freeOrder(0), ...BUCKETS });
  const nllOf = (sequence: number): Float32Array => Float32Array.of(-(reference?.[sequence % 2 ? 'rejected' : 'chosen'][sequence >> 1] ?? 0));
  return pairSource({ plan, pairs, padId: 0, baseNlls: nllOf, learnsChosen }).fill(elementAt(plan.epoch(0), 0));
};

const SETTINGS = ['loss_type', 'label_smoothing', 'beta', 'gamma'] as const;
const recipeFor = (task: Name, given: z.infer<typeof settingsForm>): Recipe => {
  const overrides = SETTINGS.flatMap(key => (given[key] === undefined ? [] : [`preference.${key}=${given[key]}`]));
  return recipeOf('model=m', `task=${task}`, ...overrides);
};
async function losses(engine: Engine, objective: Name, method: MethodName): Promise<number[]> {
  const opened = await openGolden('llama');
  const { model } = opened;
  const [given = {}] = Object.values(golden[objective].folders.llama?.cases ?? {});
  const task = tasks[objective](model, recipeFor(objective, given));
  const first = await batchOf(objective, model, lengths.length);
  const { evaluated } = await judged(engine, opened, task, first);
  const feeds = { ...first.feeds(first.targetCount), baseNll: floatsOf(evaluated, 'nll').slice() };
  const found = await tuningTrace(engine, opened, { task, method, batch: first, feeds });
  await opened.close();
  return found;
}

/** Our names of the metrics, and TRL's. */
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

describeOn(await openOthers(), engine => {
  describe.each(objectives)('%s', objective => {
    for (const [folder, { reference, cases }] of Object.entries(golden[objective].folders))
      test.each(Object.entries(cases))(`${folder}: %s`, async (_, wanted) => {
        const opened = await openGolden(folder);
        const recipe = recipeFor(objective, wanted);
        const batch = await batchOf(objective, opened.model, wanted.pairs, reference);
        const { evaluated, trained, gradients } = await judged(engine, opened, tasks[objective](opened.model, recipe), batch);
        close(trained.loss?.[0] as number, wanted.loss, 'loss');
        close(evaluated.loss?.[0] as number, wanted.loss, 'evaluated loss');
        checkGradients(gradients, wanted.gradients);
        checkMeasures(objective, recipe, wanted, batch, trained.nll);
        await opened.close();
      });
    test.each(['full', 'spsft', 'lora'] as const)('four steps: %s', async method => {
      const found = await losses(engine, objective, method);
      found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden[objective].traces[method][i] as number, 4));
    });
  });
});
