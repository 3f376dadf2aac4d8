/** The preview of texts to compare. */
import { orderSettings } from '../../data/batch/batch-settings.ts';
import { identityOf } from '../../data/shown/sample-identity.ts';
import { showGroups } from '../../data/shown/show-groups.ts';
import { loadedPart, type SampleFacts } from '../../data/shown/statistics.ts';
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import type { TextGroup } from '../../data/text-groups/load-groups.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { type PreviewData, partOf } from '../data-preview.ts';
import { planGroups, tokensOf } from '../group-setup.ts';
import { groupSettings, loadGroupData } from './group-data.ts';
import { modelFor } from './set-up.ts';

export const preview: PreviewData = async params => {
  const { recipe, base } = params;
  await modelFor(params);
  const { tokenizer } = await withTokenizer(base);
  const settings = { ...groupSettings(recipe, tokenizer), tokenizer };
  const { per_device_train_batch_size: batchSize, max_length: maxLength } = recipe;
  return {
    samples: (part, onFormat) => showGroups({ ...settings, ...partOf(params, part), onFormat }),
    async load() {
      const { train, held } = await loadGroupData(params, 'train');
      const rowsPerSample = textsOf(groupForm(recipe.embedding));
      return {
        train: loadedPart(train, factsOf, planGroups(train, { rowsPerSample, batchSize, maxLength, ...orderSettings(recipe) })),
        held: loadedPart(held, factsOf),
      };
    },
  };
};

const factsOf = (group: TextGroup): SampleFacts => {
  const { texts, score, file, line } = group;
  return {
    file,
    line,
    length: Math.max(...texts.map(ids => ids.length)),
    tokens: tokensOf(group),
    targets: 0,
    input: identityOf(...texts.slice(0, 1)),
    whole: identityOf(...texts, score),
  };
};
