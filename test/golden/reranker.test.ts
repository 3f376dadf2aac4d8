/**
 * Compares a reranker in a folder that CrossEncoder saved with sentence-transformers: loss, gradients, four training steps, and metrics.
 */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import { textSource } from '../../trainer/data/batch/text-batches.ts';
import type { LabeledText } from '../../trainer/data/load/load-labeled.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, required } from '../../trainer/narrow.ts';
import { rankEvaluator, rankMeasures } from '../../trainer/objective/classifier/rank-evaluator.ts';
import { planTexts } from '../../trainer/objective/classifier/text-reader.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import { modelOptions } from '../../trainer/plan/run-plan.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { lossTrace } from '../support/golden/loss-trace.ts';
import { checkGradients, close, gradientsForm, judged, settings } from '../support/golden/preference-golden.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const rowsForm = z.array(z.array(z.number()));
const golden = readGoldenJson(
  'reranker.json',
  z.object({
    rate: z.number(),
    rows: z.array(z.object({ ids: z.array(z.number()), types: z.array(z.number()), label: z.number() })),
    loss: z.number(),
    gradients: gradientsForm,
    full: z.array(z.number()),
    ranking: z.object({ scores: rowsForm, relevant: rowsForm, measures: z.record(z.string(), z.number()) }),
  }),
);
const recipe = recipeOf('model=m', 'task=reranker');
const folder = await openModel(join(import.meta.dirname, 'bert_reranker'));
afterAll(() => folder.weights.close());
const model = classifierOf(folder.config, modelOptions(recipe));

const examples = golden.rows.map(
  ({ ids, types, label }, line): LabeledText => ({ ids: Int32Array.from(ids), secondAt: types.indexOf(1), label: '', target: label, file: 'golden', line }),
);
const plan = planTexts(examples, { batchSize: examples.length, maxLength: 32, ...freeOrder(0) });
const source = textSource({ plan, examples, padId: 0, types: true, regression: true });
const task = tasks.reranker(model, recipe);

describeOn(await openOthers(), engine => {
  test('loss and gradients', async () => {
    const batch = await source.fill(elementAt(plan.epoch(0), 0));
    const { evaluated, trained, gradients } = await judged(engine, { model, weights: folder.weights }, task, batch);
    close(trained.loss?.[0] ?? Number.NaN, golden.loss, 'loss');
    checkGradients(gradients, golden.gradients);
    const tally = rankEvaluator(source, examples).startTally();
    tally.add(batch, evaluated);
    close(tally.result().loss, golden.loss, 'loss of an evaluation');
  });
  test('four steps', async () => {
    const batch = await source.fill(elementAt(plan.epoch(0), 0));
    const found = await lossTrace(engine, {
      ...{ task, attachment: methods.full.attach(model, settings, new Map()), recompute: 'none', rate: golden.rate, shape: batch.bucket },
      ...{ model: weightStream(model, folder.weights), start: new Map(), feeds: batch.feeds(batch.targetCount) },
    });
    found.forEach((loss, i) => expect(loss, `step ${i}`).toBeCloseTo(golden.full[i] as number, 4));
  });
});

test('measures of queries whose documents have scores', () => {
  const { scores, relevant, measures } = golden.ranking;
  const found = rankMeasures(
    scores.map((own, query) => own.map((score, i) => ({ score, isRelevant: required(relevant[query]?.[i], 'a label') === 1 }))),
  );
  close(found.map ?? Number.NaN, measures.map ?? 0, 'map');
  close(found.mrr_at_10 ?? Number.NaN, measures['mrr@10'] ?? 0, 'mrr');
  close(found.ndcg_at_10 ?? Number.NaN, measures['ndcg@10'] ?? 0, 'ndcg');
});
