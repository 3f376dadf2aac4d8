/** Compares losses and gradients of distillation with TRL and PyTorch to 1e-5, and four AdamW steps for rows, LoRA and all parameters. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createBatchPlan } from '../../trainer/data/batch/batch-plan.ts';
import { BUCKETS } from '../../trainer/data/batch/batch-settings.ts';
import { tokenSource } from '../../trainer/data/batch/batches.ts';
import type { TokenSequence } from '../../trainer/data/types.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { teacherFeeds } from '../../trainer/objective/distillation/teacher-feeds.ts';
import { findTopTokens } from '../../trainer/objective/distillation/top-tokens.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import type { Recipe } from '../../trainer/protocol/recipe/recipe-schema.ts';
import { casesOn, describeOn, openAllOthers } from '../support/engines.ts';
import { lossesForm } from '../support/golden/loss-trace.ts';
import { checkGradients, close, gradientsForm, idsOf, judged, openGolden, tuningTrace } from '../support/golden/preference-golden.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const settingsForm = z.object({
  /** 0 means all tokens. */
  top_k: z.number(),
  temperature: z.number(),
  alpha: z.number(),
  beta: z.number(),
  rest: z.string(),
});
const changesForm = settingsForm.partial().extend({ label_smoothing: z.number().optional() });
const caseForm = changesForm.extend({ loss: z.number(), divergence: z.number(), nll: z.number(), gradients: gradientsForm });
const golden = readGoldenJson(
  'distillation.json',
  z.object({
    lengths: z.array(z.object({ length: z.number(), start: z.number() })),
    shared: settingsForm,
    folders: z.record(z.string(), z.record(z.string(), caseForm)),
    traces: z.record(z.string(), z.object({ settings: changesForm, losses: lossesForm })),
  }),
);

function recipeFor(vocabulary: number, given: z.infer<typeof changesForm>): Recipe {
  const { top_k: k, ...settings } = { ...golden.shared, ...given };
  const overrides = (['temperature', 'alpha', 'beta', 'rest'] as const).map(key => `distillation.${key}=${settings[key]}`);
  const chosen = ['model=m', 'task=distillation', 'distillation.teacher=t', ...overrides];
  return recipeOf(...chosen, `distillation.top_k=${k === 0 ? vocabulary : k}`);
}

const logitsOf = (vocabulary: number, target: number, temperature: number): Float32Array =>
  Float32Array.from(
    { length: vocabulary },
    (_, id) => ((1.5 + (target % 4)) * Math.sin(1.3 * target + 0.7 * id + 0.01 * target * id)) / temperature,
  );

/** Returns the only batch, with all samples and the teacher's predictions for each target. */
async function batchOf(vocabulary: number, { distillation: { top_k: k, temperature } }: Recipe) {
  const sequences = golden.lengths.map(({ length, start }, i): TokenSequence => {
    const train = new Uint8Array(length).fill(1, start);
    return { ids: Int32Array.from(idsOf(vocabulary, i, length)), train };
  });
  const settings = { batchSize: 2, maxLength: 16, packing: false, shuffle: false, grouped: false, seed: 0, ...BUCKETS };
  const source = tokenSource({ plan: createBatchPlan(sequences, settings), sequences, padId: 0, packed: false });
  const batch = await source.fill(elementAt(source.plan.epoch(0), 0));
  const into = { ids: new Int32Array(batch.targetCount * k), logs: new Float32Array(batch.targetCount * k) };
  for (let place = 0; place < batch.targetCount; place++) {
    const logits = logitsOf(vocabulary, place, temperature);
    const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    findTopTokens(logits, logSum, k, { into, place });
  }
  const feeds = teacherFeeds(into, k, batch.bucket.targets);
  return { ...batch, feeds: (of: number) => ({ ...batch.feeds(of), ...feeds }) };
}

/** One case for each form of the loss. */
const ON_PJRT = ['forward', 'mixed', 'renormalized_hot'];

const meanOf = (values: ArrayLike<number> | undefined, count: number): number =>
  Array.from({ length: count }, (_, i) => values?.[i] ?? Number.NaN).reduce((sum, value) => sum + value, 0) / count;

describeOn(await openAllOthers(), (engine, name) => {
  for (const [folder, cases] of Object.entries(golden.folders))
    test.each(casesOn(name, Object.entries(cases), ([each]) => folder === 'llama' && ON_PJRT.includes(each)))(`${folder}: %s`, async (_, wanted) => {
      const opened = await openGolden(folder);
      const recipe = recipeFor(opened.model.vocabularySize, wanted);
      const batch = await batchOf(opened.model.vocabularySize, recipe);
      const task = tasks.distillation(opened.model, recipe);
      const smoothed = { ...task, loss: (...[tracer, shape, request]: Parameters<typeof task.loss>) => task.loss(tracer, shape, request, wanted.label_smoothing) };
      const { evaluated, trained, gradients } = await judged(engine, opened, smoothed, batch);
      close(trained.loss?.[0] as number, wanted.loss, 'loss');
      close(meanOf(evaluated.nll, batch.targetCount), wanted.nll, 'next-token loss');
      for (const { divergence } of [evaluated, trained]) close(meanOf(divergence, batch.targetCount), wanted.divergence, 'divergence');
      checkGradients(gradients, wanted.gradients);
      await opened.close();
    });
  describe.each(casesOn(name, Object.entries(golden.traces), () => false))('%s', (_, { settings, losses }) => {
    test.each(['full', 'spsft', 'lora'] as const)('four steps: %s', async method => {
      const opened = await openGolden('llama');
      const recipe = recipeFor(opened.model.vocabularySize, settings);
      const batch = await batchOf(opened.model.vocabularySize, recipe);
      const task = tasks.distillation(opened.model, recipe);
      const found = await tuningTrace(engine, opened, { task, method, batch, feeds: batch.feeds(batch.targetCount) });
      await opened.close();
      found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(elementAt(losses[method], i), 4));
    });
  });
});
