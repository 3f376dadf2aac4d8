/** Compares weights of labels with PyTorch's weighted losses and gradients, and scores of texts with several labels with scikit-learn's. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { labelFeeds, severalSource, weightOf } from '../../trainer/data/batch/text-batches.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import type { Problem } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, required } from '../../trainer/narrow.ts';
import { classWeightsOf } from '../../trainer/objective/classifier/class-weights.ts';
import { bestThreshold, severalScores } from '../../trainer/objective/classifier/several-evaluator.ts';
import { planTexts } from '../../trainer/objective/classifier/text-reader.ts';
import { feedsOfClassifier } from '../../trainer/verify/classifier-reference.ts';
import { readGolden } from '../../trainer/verify/golden.ts';
import { verifyProgram } from '../../trainer/verify/verify-model.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { openReference } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const numbersForm = z.array(z.number());
const weightedForm = z.object({ loss: z.number(), grads: z.record(z.string(), z.object({ l2: z.number(), first4: numbersForm })) });
type Weighted = z.infer<typeof weightedForm>;

const reference = readGoldenJson(
  'several_labels.json',
  z.object({
    weights: numbersForm,
    one_label: weightedForm.extend({ labels: numbersForm }),
    several_labels: weightedForm,
    counts: numbersForm,
    balanced: numbersForm,
    truth: z.array(numbersForm),
    probabilities: z.array(numbersForm),
    scores: z.record(z.string(), z.number()),
    best: z.object({ f1: z.number(), threshold: z.number() }),
  }),
);
const truth = reference.truth.map(row => row.map(Boolean));
const dir = join(import.meta.dirname, 'bert_several');

/** @param feedsOf returns the labels and weights that replace the folder's own */
async function hold(problem: Problem, expected: Weighted, feedsOf: (labels: readonly string[]) => Promise<Record<string, HostArray>>): Promise<void> {
  const folder = await openModel(dir);
  const own = await readGolden(join(dir, 'golden.json'));
  const model = classifierOf(folder.config, { problem });
  const golden = problem === 'single_label' ? { ...own, labels: { shape: [3], data: [0, 0, 0] } } : own;
  const session = await (await openReference()).compile(verifyProgram(model, golden));
  await session.load(weightStream(model, folder.weights));
  const outputs = await session.run('verify', { ...feedsOfClassifier(model, golden), ...(await feedsOf(model.labels)) });
  await session.dispose();
  await folder.weights.close();
  expect(Math.abs((outputs.loss?.[0] as number) - expected.loss)).toBeLessThan(1e-5);
  const largest = Math.max(...Object.values(expected.grads).map(({ l2 }) => l2));
  for (const [name, { l2, first4 }] of Object.entries(expected.grads)) {
    const error = Math.max(
      Math.abs((outputs[`norm ${name}`]?.[0] as number) - l2),
      ...first4.map((value, i) => Math.abs((outputs[`first ${name}`]?.[i] as number) - value)),
    );
    expect(error / Math.max(l2, 1e-5 * largest), name).toBeLessThan(1e-3);
  }
}

test('class weights of single-label samples equal those of CrossEntropyLoss(weight)', async () => {
  const { one_label: expected, weights: classWeights } = reference;
  const of = weightOf(expected.labels, classWeights);
  await hold('single_label', expected, async () => labelFeeds(expected.labels, { batch: 3, regression: false, classWeights, of }));
});

test('class weights of multi-label samples equal those of BCEWithLogitsLoss(pos_weight)', async () => {
  const { data, shape } = (await readGolden(join(dir, 'golden.json'))).labels;
  await hold('multi_label', reference.several_labels, async labels => {
    const count = shape[1] as number;
    const examples = [0, 1, 2].map(row => ({
      ...{ ids: new Int32Array(4), secondAt: 4, label: '', target: -1, file: 'x', line: row + 1 },
      names: labels.filter((_, place) => data[row * count + place] === 1),
    }));
    const plan = planTexts(examples, { batchSize: 3, maxLength: 16, seed: 1, shuffle: false, grouped: false });
    const source = severalSource({ plan, examples, padId: 0, types: false, labels, classWeights: reference.weights });
    const batch = await source.fill(elementAt(plan.epoch(0), 0));
    expect(batch.targetCount).toBe(3);
    const { labels: targets, weights } = batch.feeds(batch.targetCount);
    expect(Array.from(targets ?? [])).toEqual(data);
    return { labels: required(targets, 'labels'), weights: required(weights, 'weights') };
  });
});

test("balanced weights are scikit-learn's; of several labels, those without a label per sample with it", () => {
  expect(classWeightsOf(reference.counts)).toEqual(reference.balanced.map(weight => expect.closeTo(weight, 12)));
  expect(classWeightsOf([2, 0, 2])).toEqual([1, 1, 1]);
  expect(classWeightsOf([1, 5, 0, 10], 10)).toEqual([9, 1, 1, 1]);
});

test("scores are scikit-learn's", () => {
  const found = new Map(Object.entries(severalScores(truth, reference.probabilities, 0.5)));
  for (const [name, value] of Object.entries(reference.scores)) expect(found.get(name), name).toBeCloseTo(value, 12);
});

test('the best threshold is that of a search over all', () => {
  const { threshold, f1 } = bestThreshold(truth, reference.probabilities);
  expect(f1).toBeCloseTo(reference.best.f1, 12);
  expect(threshold).toBe(reference.best.threshold);
  expect(bestThreshold([[false]], [[0.7]])).toEqual({ threshold: 0.5, f1: 0 });
});
