/** The preview of judged answers. */
import { trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { judgedTokenizer, judgmentName } from '../../data/load/load-judged.ts';
import { identityOf, inputOf } from '../../data/shown/sample-identity.ts';
import { countTargets, type JudgedAnswer } from '../../data/types.ts';
import { causalModelFor } from '../causal/causal-setup.ts';
import type { PreviewData } from '../data-preview.ts';
import { previewAnswers } from '../preference/preview-answers.ts';
import { loadJudgedData, trainingBatches } from './judged-data.ts';
import { hasReferencePoint } from './kto-loss.ts';

export const preview: PreviewData = async params => {
  const { recipe } = params;
  return previewAnswers(params, {
    input: causalModelFor(params),
    show: tokenizing => ({
      tokenizer: ({ maxLength, truncation }) =>
        judgedTokenizer({ ...tokenizing, settings: { ...tokenizing.settings, truncation }, maxLength }),
      answersOf: ({ sequence, isGood }) => [{ side: judgmentName(isGood), sequence }],
      format: detected => detected,
    }),
    load: loading => loadJudgedData(loading, 'train'),
    factsOf,
    planOf: train => trainingBatches(train, { ...trainBatchSettings(recipe), packing: false }, hasReferencePoint(recipe.preference)).plan,
  });
};

function factsOf({ sequence, isGood, file, line }: JudgedAnswer) {
  const targets = countTargets(sequence);
  return {
    file,
    line,
    length: sequence.ids.length,
    tokens: sequence.ids.length,
    targets,
    input: identityOf(inputOf(sequence)),
    whole: identityOf(sequence.ids, Int32Array.of(Number(isGood))),
    isEmpty: targets <= 1,
  };
}
