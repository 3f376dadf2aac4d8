/** A reranker on a folder that CrossEncoder saved: loss, gradients and four steps of training, and measures, as those of sentence-transformers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import { textSource } from '../../trainer/data/batch/text-batches.ts';
import type { LabeledText } from '../../trainer/data/load-labeled.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, required } from '../../trainer/narrow.ts';
import { rankEvaluator, rankMeasures } from '../../trainer/objective/classifier/rank-evaluator.ts';
import { planTexts } from '../../trainer/objective/classifier/text-reader.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import { modelOptions } from '../../trainer/plan/run-plan.ts';
import { parseRecipe } from '../../trainer/protocol/parse-recipe.ts';
import type { Recipe } from '../../trainer/protocol/recipe-schema.ts';
import { openOthers } from '../support/engines.ts';
import { lossTrace } from '../support/loss-trace.ts';
import { checkGradients, close, type GoldenGradients, judged, settings } from '../support/preference-golden.ts';

interface Golden {
  readonly rate: number;
  readonly rows: readonly { readonly ids: readonly number[]; readonly types: readonly number[]; readonly label: number }[];
  readonly loss: number;
  readonly gradients: GoldenGradients;
  readonly full: readonly number[];
  readonly ranking: {
    readonly scores: readonly (readonly number[])[];
    readonly relevant: readonly (readonly number[])[];
    readonly measures: Readonly<Record<string, number>>;
  };
}
const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, 'reranker.json'), 'utf8'));
const recipe = parseRecipe('model: m\ntask: reranker\n').recipe as Recipe;
const folder = await openModel(join(import.meta.dirname, 'bert_reranker'));
afterAll(() => folder.weights.close());
const model = loadModel(folder.config, modelOptions(recipe));
if (model.kind !== 'classifier') throw new Error('no head');

const examples = golden.rows.map(
  ({ ids, types, label }, line): LabeledText => ({ ids: Int32Array.from(ids), secondAt: types.indexOf(1), label: '', target: label, file: 'golden', line }),
);
const plan = planTexts(examples, { batchSize: examples.length, maxLength: 32, ...freeOrder(0) });
const source = textSource({ plan, examples, padId: 0, types: true, regression: true });
const task = tasks.reranker(model, recipe);

for (const { name, engine, missing } of await openOthers())
  describe.skipIf(!engine)(`${name}${missing ? ` (skipped: ${missing})` : ''}`, () => {
    test('loss and gradients', async () => {
      const batch = await source.fill(elementAt(plan.epoch(0), 0));
      const { evaluated, trained, gradients } = await judged(engine as Engine, { model, weights: folder.weights }, task, batch);
      close(trained.loss?.[0] ?? Number.NaN, golden.loss, 'loss');
      checkGradients(gradients, golden.gradients);
      const tally = rankEvaluator(source, examples).startTally();
      tally.add(batch, evaluated);
      close(tally.result().loss, golden.loss, 'loss of an evaluation');
    });
    test('four steps', async () => {
      const batch = await source.fill(elementAt(plan.epoch(0), 0));
      const found = await lossTrace(engine as Engine, {
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
