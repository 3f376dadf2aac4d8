/**
 * Compares losses, gradients and metrics of judged answers with TRL's KTOTrainer to 1e-5, and four AdamW steps for rows, LoRA and all
 * parameters.
 */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { BUCKETS } from '../../trainer/data/batch/batch-settings.ts';
import type { JudgedAnswer } from '../../trainer/data/types.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { RecomputePolicy } from '../../trainer/graph/recompute.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { judgedSource, trainingBatches } from '../../trainer/objective/kto/judged-data.ts';
import { hasReferencePoint } from '../../trainer/objective/kto/kto-loss.ts';
import { ktoEvaluator, ktoMeasures, measuresOfWhole } from '../../trainer/objective/kto/kto-measures.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { meansOf } from '../../trainer/train/measure-sums.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { lossesForm } from '../support/golden/loss-trace.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { checkGradients, close, gradientsForm, idsOf, judged, openGolden, side, tuningTrace } from '../support/golden/preference-golden.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const referenceForm = z.object({ answers: z.array(z.number()), mismatched: z.array(z.number()) });
const settingsForm = z.object({
  loss_type: z.string().optional(),
  beta: z.number().optional(),
  desirable_weight: z.number().optional(),
  undesirable_weight: z.number().optional(),
});
const caseForm = settingsForm.extend({
  reference: referenceForm,
  loss: z.number(),
  gradients: gradientsForm,
  metrics: z.record(z.string(), z.number()),
});
const golden = readGoldenJson(
  'kto.json',
  z.object({
    lengths: z.array(z.object({ prompt: z.number(), answer: z.number(), label: z.boolean() })),
    folders: z.record(z.string(), z.record(z.string(), caseForm)),
    traces: z.record(z.string(), lossesForm),
  }),
);
const EOS = 2;

const SETTINGS = ['loss_type', 'beta', 'desirable_weight', 'undesirable_weight'] as const;
const recipeFor = (given: z.infer<typeof settingsForm>): Recipe => {
  const overrides = SETTINGS.flatMap(key => (given[key] === undefined ? [] : [`preference.${key}=${given[key]}`]));
  return recipeOf('model=m', 'task=kto', ...overrides);
};

/** Puts all of an answer's log-probability under the reference on its first token, because losses only use sums. */
function sourceOf(vocabulary: number, { preference }: Recipe, reference?: z.infer<typeof referenceForm>) {
  const data = golden.lengths.map(({ prompt, answer, label }, k): JudgedAnswer => {
    const sequence = side(idsOf(vocabulary, 2 * k, prompt), [...idsOf(vocabulary, 2 * k + 1, answer), EOS]);
    return { sequence, isGood: label, file: 'golden', line: k + 1 };
  });
  const pairsUp = hasReferencePoint(preference);
  const batches = trainingBatches(
    data,
    { batchSize: data.length, maxLength: 64, packing: false, shuffle: false, grouped: false, seed: 0, ...BUCKETS },
    pairsUp,
  );
  const baseNlls = (row: number): Float32Array =>
    Float32Array.of(-((pairsUp ? (row % 2 ? reference?.mismatched : reference?.answers)?.[row >> 1] : reference?.answers[row]) ?? 0));
  return judgedSource({ ...batches, isGood: sample => elementAt(data, sample).isGood, padId: 0, baseNlls });
}

/** Returns losses before each of four updates and after the last one; the base is the model that training starts from. */
async function losses(engine: Engine, type: string, method: 'full' | 'spsft' | 'lora', recompute: RecomputePolicy = 'none'): Promise<number[]> {
  const opened = await openGolden('llama');
  const { model } = opened;
  const recipe = recipeFor({ loss_type: type, beta: 0.5 });
  const task = tasks.kto(model, recipe);
  const source = sourceOf(model.vocabularySize, recipe);
  const batch = await source.fill(elementAt(source.plan.epoch(0), 0));
  const { evaluated } = await judged(engine, opened, task, batch);
  const feeds = { ...batch.feeds(batch.targetCount), baseNll: floatsOf(evaluated, 'nll').slice() };
  const found = await tuningTrace(engine, opened, { task, method, batch, feeds, recompute });
  await opened.close();
  return found;
}

/** Our names of the metrics, and TRL's. */
const MEASURES = {
  reward_desirable: 'rewards/chosen',
  reward_undesirable: 'rewards/rejected',
  logp_desirable: 'logps/chosen',
  logp_undesirable: 'logps/rejected',
  margin: 'rewards/margins',
  kl: 'kl',
} as const;

const isGood = (sample: number): boolean => elementAt(golden.lengths, sample).label;

describeOn(await openOthers(), engine => {
  for (const [folder, cases] of Object.entries(golden.folders))
    test.each(Object.entries(cases))(`${folder}: %s`, async (_, wanted) => {
      const opened = await openGolden(folder);
      const recipe = recipeFor(wanted);
      const source = sourceOf(opened.model.vocabularySize, recipe, wanted.reference);
      const batch = await source.fill(elementAt(source.plan.epoch(0), 0));
      const task = tasks.kto(opened.model, recipe);
      const { evaluated, trained, gradients } = await judged(engine, opened, task, batch);
      close(trained.loss?.[0] as number, wanted.loss, 'loss');
      close(evaluated.loss?.[0] as number, wanted.loss, 'evaluated loss');
      checkGradients(gradients, wanted.gradients);
      const params = { preference: recipe.preference, rowsPerSample: task.rowsPerSample ?? 1, isGood };
      const tally = ktoEvaluator(source, golden.lengths.length, params).startTally();
      tally.add(batch, evaluated);
      const { loss, measures = {} } = tally.result();
      close(loss, wanted.loss, 'loss of an evaluation');
      for (const means of [measures, meansOf(measuresOfWhole(ktoMeasures(params)(batch, trained)))])
        for (const [ours, theirs] of Object.entries(MEASURES)) close(means[ours] as number, wanted.metrics[theirs] as number, theirs);
      await opened.close();
    });
  describe.each(Object.keys(golden.traces))('%s', type => {
    test.each(['full', 'spsft', 'lora'] as const)('four steps: %s', async method => {
      const found = await losses(engine, type, method);
      found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden.traces[type]?.[method][i] as number, 4));
    });
    if (type !== 'kto') return;
    test.each(['block', 'sqrt'] as const)('four steps, recomputed: %s', async policy => {
      const found = await losses(engine, type, 'spsft', policy);
      found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden.traces[type]?.spsft[i] as number, 4));
    });
  });
});
