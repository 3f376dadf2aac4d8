/** Compares preferences whose prompts have images with their formulas in PyTorch, on the log-probabilities of Transformers, to 1e-5. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { BUCKETS, freeOrder } from '../../trainer/data/batch/batch-settings.ts';
import type { Batch } from '../../trainer/data/batch/batches.ts';
import { pairSource, planPairs } from '../../trainer/data/batch/pair-batches.ts';
import type { JudgedAnswer, Pair, TokenSequence } from '../../trainer/data/types.ts';
import type { SampleImage } from '../../trainer/data/vision/sample-image.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { judgedSource, trainingBatches } from '../../trainer/objective/kto/judged-data.ts';
import { tasks } from '../../trainer/objective/tasks.ts';
import { imagesOfAnswers } from '../../trainer/vision/image-feeds.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { checkGradients, close, gradientsForm, judged, side } from '../support/golden/preference-golden.ts';
import { encodeImages, readVisionGolden, visionOf } from '../support/golden/vision-golden.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { recipeOf } from '../support/runs/recipe-of.ts';

const pair = z.tuple([z.number(), z.number()]);
const caseForm = z.object({ loss: z.number(), gradients: gradientsForm, reference: z.array(pair) });
const wanted = readGoldenJson(
  'qwen3_vl/preferences.json',
  z.object({
    beta: z.number(),
    answers: z.array(z.object({ chosen: z.array(z.number()), rejected: z.array(z.number()) })),
    dpo: caseForm.extend({ own: z.array(pair) }),
    kto: caseForm,
  }),
);
const golden = readVisionGolden('qwen3_vl');

/** An answer after a text of the golden folder, with the images of the text. */
function answered(text: number, answer: readonly number[]): TokenSequence {
  const { ids, images } = elementAt(golden.texts, text);
  const seen = images.map((image): SampleImage => {
    const { width, height, vectors, grid: [rows, columns] = [1, 1] } = elementAt(golden.images, image);
    return { path: '', key: String(image), width, height, text: '', vectors, grid: { rows, columns } };
  });
  return { ...side(ids, answer), images: seen };
}

/** All of an answer's log-probability under the reference is on its first token, because losses only use sums. */
const nllsOf = (reference: readonly (readonly [number, number])[]) => (row: number) =>
  Float32Array.of(-(elementAt(reference, row >> 1)[row % 2] ?? 0));

const settings = { batchSize: 2, maxLength: 64, packing: false, ...freeOrder(0), ...BUCKETS };
const recipe = (task: string) => recipeOf('model=m', `task=${task}`, `preference.beta=${wanted.beta}`);

/** The model, and what a task makes of a batch. */
async function opened(engine: Engine) {
  const folder = await openModel(join(import.meta.dirname, 'qwen3_vl'));
  const model = causalModel(folder.config);
  const vectors = await encodeImages({ engine, model, vision: visionOf('qwen3_vl'), weights: folder.weights, golden });
  const further = imagesOfAnswers({ model, vectors: { read: async ({ key }) => elementAt(vectors, Number(key)) } });
  const check = async (name: 'dpo' | 'kto', batch: Batch) => {
    const task = tasks[name](model, recipe(name), { images: true });
    const { evaluated, trained, gradients } = await judged(engine, { model, weights: folder.weights }, task, batch);
    close(floatsOf(trained, 'loss')[0] ?? 0, wanted[name].loss, 'loss');
    close(floatsOf(evaluated, 'loss')[0] ?? 0, wanted[name].loss, 'evaluated loss');
    checkGradients(gradients, wanted[name].gradients);
    await folder.weights.close();
    return evaluated;
  };
  return { further, check };
}

describeOn(await openOthers(), engine => {
  test('pairs of answers share the images of their prompt', async () => {
    const { further, check } = await opened(engine);
    const pairs = wanted.answers.map(
      ({ chosen, rejected }, text): Pair => ({ chosen: answered(text, chosen), rejected: answered(text, rejected), file: 'golden', line: text + 1 }),
    );
    const plan = planPairs(pairs, settings);
    const source = pairSource({ plan, pairs, padId: 0, baseNlls: nllsOf(wanted.dpo.reference), further });
    const batch = await source.fill(elementAt(plan.epoch(0), 0));
    const nll = floatsOf(await check('dpo', batch), 'nll');
    // What a reference pass computes.
    wanted.dpo.own.flat().forEach((own, row) => {
      const logp = -batch.targetRows.reduce((sum, of, i) => sum + (of === row ? (nll[i] ?? 0) * (batch.presence[i] ?? 0) : 0), 0);
      close(logp, elementAt(wanted.dpo.own.flat(), row), `answer ${row} of ${own}`);
    });
  });

  test('judged answers, and the mismatched answers of the reference point', async () => {
    const { further, check } = await opened(engine);
    const given = [elementAt(wanted.answers, 0).chosen, elementAt(wanted.answers, 1).rejected];
    const data = given.map((answer, k): JudgedAnswer => ({ sequence: answered(k, answer), isGood: k === 0, file: 'golden', line: k + 1 }));
    const batches = trainingBatches(data, settings, true);
    const source = judgedSource({ ...batches, isGood: k => k === 0, padId: 0, baseNlls: nllsOf(wanted.kto.reference), further });
    expect(batches.samples.flat().map(({ images = [] }) => images.length)).toEqual([1, 1, 2, 2]);
    await check('kto', await source.fill(elementAt(batches.plan.epoch(0), 0)));
  });
});
