/** Kahneman-Tversky optimization: judged answers in batches of few shapes, with the log-probabilities of the base model. */
import type { BaseNlls } from '../../data/batch/answer-batches.ts';
import { evalBatchSettings, trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { digestSamples } from '../../data/data-digest.ts';
import { judgedExample, judgmentName } from '../../data/load-judged.ts';
import type { JudgedAnswer } from '../../data/types.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { padIdOf } from '../../job/pad-id.ts';
import { elementAt } from '../../narrow.ts';
import { causalModelFor } from '../causal/causal-setup.ts';
import { baseLogProbabilities } from '../preference/base-log-probabilities.ts';
import type { SetUpTask } from '../task-setup.ts';
import { evaluationBatches, type JudgedBatches, judgedSource, loadJudgedData, ofRows, trainingBatches } from './judged-data.ts';
import { hasReferencePoint } from './kto-loss.ts';
import { ktoEvaluator, ktoMeasures, measuresOfWhole } from './kto-measures.ts';
import { task as ktoTask } from './task.ts';

export const setUp: SetUpTask = async (params, part) => {
  const { recipe } = params;
  const { preference } = recipe;
  const model = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model });
  const data = await loadJudgedData({ ...params, base, input: model }, part);
  const padId = padIdOf(base);
  const task = ktoTask(model, recipe);
  const pairsUp = hasReferencePoint(preference);
  const rowsPerSample = task.rowsPerSample ?? 1;
  const batchesOf = (looseGroups?: boolean): JudgedBatches =>
    trainingBatches(data.train, { ...trainBatchSettings(recipe, looseGroups, params.ranks?.parts), packing: false }, pairsUp);
  const judged = (answers: readonly JudgedAnswer[]) => (sample: number) => elementAt(answers, sample).isGood;
  const sourceOf = (answers: readonly JudgedAnswer[], batches: JudgedBatches, baseNlls?: BaseNlls) =>
    judgedSource({ ...batches, isGood: judged(answers), padId, baseNlls });
  const sets = [
    { name: 'training', answers: data.train, batches: batchesOf },
    { name: 'held-out', answers: data.held, batches: () => evaluationBatches(data.held, evalBatchSettings(recipe), pairsUp) },
  ]
    .filter(({ answers }) => answers.length > 0)
    .map(set => ({ ...set, batches: set.batches() }));
  const found = await baseLogProbabilities(
    params,
    task,
    sets.map(({ name, answers, batches }) => ({
      name,
      sequences: batches.samples.flat(),
      // A plan of training has only the part of this process.
      source: sourceOf(answers, params.ranks ? ofRows(batches.samples, evalBatchSettings(recipe)) : batches),
    })),
  );
  const [training, held] = [data.train, data.held].map(answers => {
    const at = sets.findIndex(set => set.answers === answers);
    return { batches: sets[at]?.batches, baseNlls: found[at] };
  });
  return {
    model,
    task,
    labels: [],
    samples: data.train.length,
    digest: { train: digestOf(data.train), held: digestOf(data.held) },
    labelOf: () => -1,
    trainSource: looseGroups => sourceOf(data.train, batchesOf(looseGroups), training?.baseNlls),
    sourceOf: (indices, batchSize) => {
      const chosen = indices.flatMap(index => data.train[index] ?? []);
      const rows = indices.flatMap(index => [training?.batches?.samples[index] ?? []]);
      const nlls = training?.baseNlls;
      const baseNlls: BaseNlls | undefined =
        nlls && (row => nlls(rowsPerSample * elementAt(indices, Math.floor(row / rowsPerSample)) + (row % rowsPerSample)));
      return sourceOf(chosen, ofRows(rows, evalBatchSettings(recipe, batchSize)), baseNlls);
    },
    evaluator:
      held?.batches &&
      ktoEvaluator(sourceOf(data.held, held.batches, held.baseNlls), data.held.length, {
        preference,
        rowsPerSample,
        isGood: judged(data.held),
      }),
    heldAnswers: () => data.held.filter(({ isGood }) => isGood).flatMap(judgedExample),
    measure: ktoMeasures({ preference, rowsPerSample, isGood: judged(data.train) }),
    measureWhole: measuresOfWhole,
  };
};

const digestOf = (answers: readonly JudgedAnswer[]): string =>
  digestSamples(answers.map(({ sequence, isGood, file, line }) => ({ ...sequence, label: judgmentName(isGood), file, line })));
