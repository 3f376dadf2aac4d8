/** The preview of pairs of answers. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { BatchPlan } from '../../data/batch/batch-plan.ts';
import { trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { planPairs, withPromptTargets } from '../../data/batch/pair-batches.ts';
import { SIDES } from '../../data/example/format-pair.ts';
import { pairTokenizer } from '../../data/load/load-pairs.ts';
import { identityOf, inputOf } from '../../data/shown/sample-identity.ts';
import { countTargets, type Pair } from '../../data/types.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { causalModelFor } from '../causal/causal-setup.ts';
import type { DataPreview, PreviewData } from '../data-preview.ts';
import type { ReadParams } from '../task-setup.ts';
import { type AnswerDataParams, loadPairData } from './pair-data.ts';
import { previewAnswers } from './preview-answers.ts';

export interface PairPreview {
  /** Returns the limits of the model's input. @throws RunError 'wrong-task' */
  readonly inputOf: (params: ReadParams) => AnswerDataParams['input'];
  /** See `AnswerDataParams`. */
  readonly isEncoder?: boolean;
  /** Plans the batches of training. */
  readonly planOf: (pairs: readonly Pair[], recipe: Recipe) => BatchPlan;
}

export const previewPairs: PreviewData = params =>
  previewPairsOf(params, {
    inputOf: causalModelFor,
    planOf(pairs, recipe) {
      const { learnsChosen = false } = objectiveCatalog[recipe.task].compares ?? {};
      return planPairs(learnsChosen ? withPromptTargets(pairs) : pairs, { ...trainBatchSettings(recipe), packing: false });
    },
  });

export async function previewPairsOf(
  params: ReadParams,
  { inputOf: boundsOf, isEncoder = false, planOf }: PairPreview,
): Promise<DataPreview> {
  const { recipe } = params;
  const { readsMargin } = objectiveCatalog[recipe.task].compares ?? {};
  return previewAnswers(params, {
    input: boundsOf(params),
    show: tokenizing => ({
      tokenizer: ({ maxLength, truncation }) =>
        pairTokenizer({
          ...tokenizing,
          settings: { ...tokenizing.settings, truncation },
          maxLength,
          readsMargin,
          segments: isEncoder ? tokenizing.tokenizer : undefined,
        }),
      answersOf: pair => SIDES.map(side => ({ side, sequence: pair[side] })),
      format: () => 'preference',
    }),
    load: loading => loadPairData({ ...loading, isEncoder }, 'train'),
    factsOf,
    planOf: train => planOf(train, recipe),
  });
}

function factsOf({ chosen, rejected, file, line }: Pair) {
  const [better, worse] = [countTargets(chosen), countTargets(rejected)];
  return {
    file,
    line,
    length: Math.max(chosen.ids.length, rejected.ids.length),
    tokens: chosen.ids.length + rejected.ids.length,
    targets: better + worse,
    input: identityOf(inputOf(chosen)),
    whole: identityOf(chosen.ids, rejected.ids),
    isEmpty: better <= 1 || worse <= 1,
  };
}
