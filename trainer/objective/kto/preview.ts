/** Judged answers, for a preview. */
import { trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { judgedTokenizer, judgmentName } from '../../data/load-judged.ts';
import { identityOf, inputOf } from '../../data/shown/sample-identity.ts';
import { showAnswers } from '../../data/shown/show-texts.ts';
import { countTargets, type JudgedAnswer } from '../../data/types.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { causalModelFor } from '../causal/causal-setup.ts';
import { type PreviewData, partOf } from '../data-preview.ts';
import { datasetSettings } from '../load-data.ts';
import { loadJudgedData, trainingBatches } from './judged-data.ts';
import { hasReferencePoint } from './kto-loss.ts';

export const preview: PreviewData = async params => {
  const { recipe } = params;
  const input = causalModelFor(params);
  const base = await withTokenizer(params.base);
  const { tokenizer, chatRenderer } = base;
  return {
    samples: (part, onFormat) => {
      const { paths, maxSamples } = partOf(params, part);
      const settings = { ...datasetSettings(params, undefined), maxSamples };
      const { max_length: maxLength } = recipe;
      return showAnswers(
        { paths, settings, tokenizer, chatRenderer, maxLength, maxPositions: input.maxPositions, onFormat },
        {
          tokenizer: maxLength => judgedTokenizer({ settings, tokenizer, chatRenderer, maxLength }),
          answersOf: ({ sequence, isGood }) => [{ side: judgmentName(isGood), sequence }],
          format: detected => detected,
        },
      );
    },
    async load() {
      const { train, held } = await loadJudgedData({ ...params, base, input }, 'train');
      const settings = { ...trainBatchSettings(recipe), packing: false };
      const plan = train.length > 0 ? trainingBatches(train, settings, hasReferencePoint(recipe.preference)).plan : undefined;
      return { train: { facts: train.map(factsOf), plan }, held: { facts: held.map(factsOf), plan: undefined } };
    },
  };
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
