/**
 * Sets up tasks that compare pairs of answers: pairs in batches of few shapes, with the base model's log-probabilities if the loss reads
 * them.
 */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { BaseNlls } from '../../data/batch/answer-batches.ts';
import type { BatchSettings } from '../../data/batch/batch-plan.ts';
import { evalBatchSettings, trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { isPairBatch, PAIR_ROWS, pairSource, planPairs, sidesOf, withPromptTargets } from '../../data/batch/pair-batches.ts';
import { digestSamples } from '../../data/data-digest.ts';
import type { Pair } from '../../data/types.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { padIdOf } from '../../job/pad-id.ts';
import { readsBase } from '../../protocol/recipe/live-reference.ts';
import { imagesOfAnswers } from '../../vision/image-feeds.ts';
import { causalModelFor, imagesOfData, vectorsOf } from '../causal/causal-setup.ts';
import { type MeasureBatch, ownParts, type SetUpParams, type SetUpTask } from '../task-setup.ts';
import { tasks } from '../tasks.ts';
import { baseLogProbabilities, drawnNlls } from './base-log-probabilities.ts';
import { loadPairData } from './pair-data.ts';
import { pairEvaluator, pairMeasures, type RewardOf } from './pair-measures.ts';

/** @param rewardOf returns the implicit reward that the objective's loss compares */
export const setUpPreference =
  (rewardOf: (params: SetUpParams['recipe']['preference']) => RewardOf): SetUpTask =>
  async (params, part) => {
    const { recipe } = params;
    const model = causalModelFor(params);
    const base = await withTokenizer({ ...params.base, model }, recipe.data.image_max_pixels);
    const images = await imagesOfData(params, base);
    const data = await loadPairData({ ...params, base, input: model, images }, part);
    const vectors = await vectorsOf(params, base, images, sidesOf(data.train), sidesOf(data.held));
    const further = vectors && imagesOfAnswers({ model, vectors });
    const padId = padIdOf(base);
    const { usesReference = false, learnsChosen = false } = objectiveCatalog[recipe.task].compares ?? {};
    const measuring = { reward: rewardOf(recipe.preference), usesReference, learnsChosen };
    const measure: MeasureBatch = (batch, outputs) => (isPairBatch(batch) ? pairMeasures(batch, outputs.nll, measuring) : {});
    const task = tasks[recipe.task](model, recipe, { images: vectors !== undefined });
    const sourceOf = (pairs: readonly Pair[], settings: BatchSettings, baseNlls?: BaseNlls) =>
      pairSource({
        plan: planPairs(learnsChosen ? withPromptTargets(pairs) : pairs, settings),
        pairs,
        padId,
        baseNlls,
        further,
        learnsChosen,
      });
    const training = (looseGroups?: boolean, parts = ownParts(params)): BatchSettings => ({
      ...trainBatchSettings(recipe, looseGroups, parts),
      packing: false,
    });
    const evaluating = evalBatchSettings(recipe);
    const sets = [
      { name: 'training', pairs: readsBase(recipe) ? [] : data.train, settings: { ...training(), parts: undefined } },
      { name: 'held-out', pairs: data.held, settings: evaluating },
    ].filter(({ pairs }) => pairs.length > 0);
    const found = usesReference
      ? await baseLogProbabilities(
          params,
          task,
          sets.map(({ name, pairs, settings }) => ({ name, sequences: sidesOf(pairs), source: sourceOf(pairs, settings) })),
        )
      : [];
    const nllsOf = (pairs: readonly Pair[]): BaseNlls | undefined => found[sets.findIndex(set => set.pairs === pairs)];
    return {
      model,
      task,
      labels: [],
      samples: data.train.length,
      digest: { train: digestOf(data.train), held: digestOf(data.held) },
      labelOf: () => -1,
      trainSource: (looseGroups, parts) => sourceOf(data.train, training(looseGroups, parts), nllsOf(data.train)),
      sourceOf: async (indices, batchSize) => {
        const chosen = indices.flatMap(index => data.train[index] ?? []);
        const settings = evalBatchSettings(recipe, batchSize);
        if (!usesReference) return sourceOf(chosen, settings);
        const drawn = { indices, rowsPerSample: PAIR_ROWS, sequences: sidesOf(chosen), source: sourceOf(chosen, settings) };
        return sourceOf(chosen, settings, await drawnNlls(params, task, nllsOf(data.train), drawn));
      },
      evaluator:
        data.held.length > 0 ? pairEvaluator(sourceOf(data.held, evaluating, nllsOf(data.held)), data.held.length, measure) : undefined,
      heldAnswers: () => data.held.map(({ chosen, file, line, element }) => ({ ...chosen, file, line, element })),
      imageVectors: vectors,
      measure,
    };
  };

const digestOf = (pairs: readonly Pair[]): string =>
  digestSamples(pairs.flatMap(({ chosen, rejected, file, line }) => [chosen, rejected].map(side => ({ ...side, file, line }))));
