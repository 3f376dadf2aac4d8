/** Compares losses, gradients and metrics of reward models with TRL's RewardTrainer to 1e-5, and four AdamW steps. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import { PAIR_ROWS } from '../../trainer/data/batch/pair-batches.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import type { ClassifierModel } from '../../trainer/model/model-spec.ts';
import { required } from '../../trainer/narrow.ts';
import { groupBatches } from '../../trainer/objective/group-setup.ts';
import { groupsOf } from '../../trainer/objective/reward/reward-data.ts';
import { rewardMeasures } from '../../trainer/objective/reward/reward-measures.ts';
import { task } from '../../trainer/objective/reward/task.ts';
import { meansOf } from '../../trainer/train/measure-sums.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { lossesForm } from '../support/golden/loss-trace.ts';
import { checkGradients, close, gradientsForm, judged, lengths, pairsOf, tuningTrace } from '../support/golden/preference-golden.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const caseForm = z.object({
  settings: z.record(z.string(), z.number()),
  margins: z.array(z.number()),
  loss: z.number(),
  gradients: gradientsForm,
  metrics: z.object({ accuracy: z.number(), margin: z.number() }),
});
type Case = z.infer<typeof caseForm>;
const golden = readGoldenJson(
  'rewards.json',
  z.object({ cases: z.record(z.string(), caseForm), encoders: z.record(z.string(), caseForm), traces: lossesForm }),
);

/** Upper bound of ids; all folders have at least these. */
const VOCABULARY = 96;

async function open(folder = 'llama_score') {
  const { config, weights } = await openModel(join(import.meta.dirname, folder));
  // TRL's numbers are computed without dropout.
  const model = classifierOf({ ...config, ...(folder !== 'llama_score' && { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }) }, { problem: 'regression' });
  return { model, weights };
}

async function batchOf(model: ClassifierModel, { margins }: Case) {
  const groups = groupsOf(pairsOf(VOCABULARY, lengths.length).map((pair, i) => ({ ...pair, margin: margins[i] ?? 0 })));
  const source = groupBatches(groups, model, { rowsPerSample: PAIR_ROWS, batchSize: lengths.length, maxLength: 48, ...freeOrder(0) });
  return source.fill(required(source.plan.epoch(0)[0], 'a batch'));
}

const taskOf = (model: ClassifierModel, given: Case) =>
  task(model, recipeOf('model=m', 'task=reward', ...Object.entries(given.settings).map(([key, value]) => `preference.${key}=${value}`)));

async function losses(engine: Engine, method: 'full' | 'spsft' | 'lora'): Promise<number[]> {
  const opened = await open();
  const given = required(golden.cases.margins, 'the case with margins');
  const batch = await batchOf(opened.model, given);
  const found = await tuningTrace(engine, opened, { task: taskOf(opened.model, given), method, batch, feeds: batch.feeds(batch.targetCount) });
  await opened.weights.close();
  return found;
}

describeOn(await openOthers(), engine => {
  test.each([
    ...Object.entries(golden.cases).map(([title, wanted]) => ['llama_score', title, wanted] as const),
    ...Object.entries(golden.encoders).map(([folder, wanted]) => [folder, 'margins', wanted] as const),
  ])('%s: %s', async (folder, _, wanted) => {
    const opened = await open(folder);
    const batch = await batchOf(opened.model, wanted);
    const { evaluated, trained, gradients } = await judged(engine, opened, taskOf(opened.model, wanted), batch);
    close(trained.loss?.[0] ?? Number.NaN, wanted.loss, 'loss');
    close(evaluated.loss?.[0] ?? Number.NaN, wanted.loss, 'evaluated loss');
    checkGradients(gradients, wanted.gradients);
    for (const { rewards } of [trained, evaluated]) {
      const measures = meansOf(rewardMeasures(batch, { rewards: required(rewards, 'the rewards') }));
      for (const [key, value] of Object.entries(wanted.metrics)) close(measures[key] ?? Number.NaN, value, key);
    }
    await opened.weights.close();
  });
  test.each(['full', 'spsft', 'lora'] as const)('four steps: %s', async method => {
    const found = await losses(engine, method);
    found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden.traces[method][i] ?? Number.NaN, 4));
  });
});
