/** Pairs of answers, for a preview. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { BatchSettings } from '../../data/batch/batch-plan.ts';
import { trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { planPairs, withPromptTargets } from '../../data/batch/pair-batches.ts';
import { identityOf, inputOf } from '../../data/shown/sample-identity.ts';
import { showPairs } from '../../data/shown/show-texts.ts';
import type { LoadedPart } from '../../data/shown/statistics.ts';
import { countTargets, type Pair } from '../../data/types.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { causalModelFor } from '../causal/causal-setup.ts';
import { type PreviewData, partOf } from '../data-preview.ts';
import { datasetSettings } from '../load-data.ts';
import { loadPairData } from './pair-data.ts';

export const previewPairs: PreviewData = async params => {
  const { recipe } = params;
  const model = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model });
  const { tokenizer, chatRenderer } = base;
  const { learnsChosen = false } = objectiveCatalog[recipe.task].compares ?? {};
  const loadedPart = (pairs: readonly Pair[], settings?: BatchSettings): LoadedPart => ({
    facts: pairs.map(factsOf),
    plan:
      settings && pairs.length > 0
        ? planPairs(learnsChosen ? withPromptTargets(pairs) : pairs, { ...settings, packing: false })
        : undefined,
  });
  return {
    samples: (part, onFormat) => {
      const { paths, maxSamples } = partOf(params, part);
      const settings = { ...datasetSettings(params, undefined), maxSamples };
      return showPairs({
        paths,
        settings,
        tokenizer,
        chatRenderer,
        maxLength: recipe.max_length,
        maxPositions: model.maxPositions,
        onFormat,
      });
    },
    async load() {
      const { train, held } = await loadPairData({ ...params, base }, 'train');
      return { train: loadedPart(train, trainBatchSettings(recipe)), held: loadedPart(held) };
    },
  };
};

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
