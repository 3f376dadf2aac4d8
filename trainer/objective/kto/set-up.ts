/** Sets up Kahneman-Tversky optimization: judged answers in batches of few shapes, with the log-probabilities of the base model. */
import type { BaseNlls } from '../../data/batch/answer-batches.ts';
import { evalBatchSettings, trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { digestSamples } from '../../data/data-digest.ts';
import { judgedExample, judgmentName } from '../../data/load/load-judged.ts';
import type { JudgedAnswer } from '../../data/types.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { padIdOf } from '../../job/pad-id.ts';
import { elementAt } from '../../narrow.ts';
import { readsBase } from '../../protocol/recipe/live-reference.ts';
import { imagesOfAnswers } from '../../vision/image-feeds.ts';
import { causalModelFor, imagesOfData, vectorsOf } from '../causal/causal-setup.ts';
import { baseLogProbabilities, drawnNlls } from '../preference/base-log-probabilities.ts';
import { ownParts, type SetUpTask } from '../task-setup.ts';
import { evaluationBatches, type JudgedBatches, judgedSource, loadJudgedData, ofRows, trainingBatches } from './judged-data.ts';
import { hasReferencePoint } from './kto-loss.ts';
import { ktoEvaluator, ktoMeasures, measuresOfWhole } from './kto-measures.ts';
import { task as ktoTask } from './task.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const { preference } = recipe;
  const model = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model }, recipe.data.image_max_pixels);
  const images = await imagesOfData(params, base);
  const data = await loadJudgedData({ ...params, base, input: model, images }, part);
  const parts = [data.train, data.held].map(answers => answers.map(({ sequence }) => sequence));
  const vectors = await vectorsOf(params, base, images, ...parts);
  const further = vectors && imagesOfAnswers({ model, vectors });
  const padId = padIdOf(base);
  const task = ktoTask(model, recipe, { images: vectors !== undefined });
  const pairsUp = hasReferencePoint(preference);
  const rowsPerSample = task.rowsPerSample ?? 1;
  const batchesOf = (looseGroups?: boolean, parts = ownParts(params)): JudgedBatches =>
    trainingBatches(data.train, { ...trainBatchSettings(recipe, looseGroups, parts), packing: false }, pairsUp);
  const judged = (answers: readonly JudgedAnswer[]) => (sample: number) => elementAt(answers, sample).isGood;
  const sourceOf = (answers: readonly JudgedAnswer[], batches: JudgedBatches, baseNlls?: BaseNlls) =>
    judgedSource({ ...batches, isGood: judged(answers), padId, baseNlls, further });
  const training = data.train.length > 0 ? batchesOf() : undefined;
  const held = data.held.length > 0 ? evaluationBatches(data.held, evalBatchSettings(recipe), pairsUp) : undefined;
  const sets = [
    ...(training && !readsBase(recipe) ? [{ name: 'training', answers: data.train, batches: training }] : []),
    ...(held ? [{ name: 'held-out', answers: data.held, batches: held }] : []),
  ];
  const found = await baseLogProbabilities(
    params,
    task,
    sets.map(({ name, answers, batches }) => ({
      name,
      sequences: batches.samples.flat(),
      // A training plan covers only one part of each batch.
      source: sourceOf(answers, ownParts(params) ? ofRows(batches.samples, evalBatchSettings(recipe)) : batches),
    })),
  );
  const nllsOf = (answers: readonly JudgedAnswer[]): BaseNlls | undefined => found[sets.findIndex(set => set.answers === answers)];
  return {
    model,
    task,
    labels: [],
    samples: data.train.length,
    digest: { train: digestOf(data.train), held: digestOf(data.held) },
    labelOf: () => -1,
    trainSource: (looseGroups, parts) => sourceOf(data.train, batchesOf(looseGroups, parts), nllsOf(data.train)),
    sourceOf: async (indices, batchSize) => {
      const chosen = indices.flatMap(index => data.train[index] ?? []);
      const rows = indices.flatMap(index => [training?.samples[index] ?? []]);
      const batches = ofRows(rows, evalBatchSettings(recipe, batchSize));
      const drawn = { indices, rowsPerSample, sequences: rows.flat(), source: sourceOf(chosen, batches) };
      return sourceOf(chosen, batches, await drawnNlls(params, task, nllsOf(data.train), drawn));
    },
    evaluator:
      held &&
      ktoEvaluator(sourceOf(data.held, held, nllsOf(data.held)), data.held.length, {
        preference,
        rowsPerSample,
        isGood: judged(data.held),
      }),
    heldAnswers: () => data.held.filter(({ isGood }) => isGood).flatMap(judgedExample),
    imageVectors: vectors,
    measure: ktoMeasures({ preference, rowsPerSample, isGood: judged(data.train) }),
    measureWhole: measuresOfWhole,
  };
};

const digestOf = (answers: readonly JudgedAnswer[]): string =>
  digestSamples(answers.map(({ sequence, isGood, file, line }) => ({ ...sequence, label: judgmentName(isGood), file, line })));
