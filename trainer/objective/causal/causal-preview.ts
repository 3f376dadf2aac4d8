/** The preview of a language model's data. */
import { planBatches } from '../../data/batch/batch-plan.ts';
import { trainBatchSettings } from '../../data/batch/batch-settings.ts';
import { DataProblems } from '../../data/data-error.ts';
import { openForTokenizing } from '../../data/load/load-dataset.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { identityOf, inputOf } from '../../data/shown/sample-identity.ts';
import { showTexts } from '../../data/shown/show-texts.ts';
import { loadedPart, type SampleFacts } from '../../data/shown/statistics.ts';
import { countTargets, type Example } from '../../data/types.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { type PreviewData, partOf } from '../data-preview.ts';
import { datasetSettings, loadTrainingData } from '../load-data.ts';
import { causalModelFor, imagesOfData } from './causal-setup.ts';

export const previewCausal: PreviewData = async params => {
  const { recipe } = params;
  const model = causalModelFor(params);
  const base = await withTokenizer({ ...params.base, model }, recipe.data.image_max_pixels);
  const { tokenizer, chatRenderer } = base;
  const { max_length: maxLength } = recipe;
  const images = await imagesOfData(params, base);
  return {
    async *samples(part, onFormat) {
      const { paths, maxSamples } = partOf(params, part);
      const labels = part === 'eval' && recipe.data.labels.length === 0 ? await trainLabels() : undefined;
      const settings = { ...datasetSettings(params, labels), maxSamples };
      yield* showTexts({ paths, settings, tokenizer, chatRenderer, maxLength, maxPositions: model.maxPositions, images, onFormat });
    },
    async load() {
      const { train, held } = await loadTrainingData({ ...params, base, images });
      const plan = train.length > 0 ? planBatches(train.sizes, trainBatchSettings(recipe)) : undefined;
      return { train: loadedPart(train, factsOf, plan), held: loadedPart(held, factsOf) };
    },
  };

  /** The labels of the training data, which held-out samples are read with. */
  async function trainLabels(): Promise<readonly string[]> {
    const { paths, maxSamples } = partOf(params, 'train');
    if (paths.length === 0) return [];
    const files = await listDataFiles(paths);
    const { labels, records } = await openForTokenizing(
      { files, settings: { ...datasetSettings(params, undefined), maxSamples }, maxLength },
      new DataProblems(),
    );
    await records.return(undefined);
    return labels;
  }
};

function factsOf(example: Example): SampleFacts {
  const { ids, train, file, line, label, images = [] } = example;
  const pictures = images.map(({ key }) => key);
  const targets = countTargets(example);
  return {
    file,
    line,
    length: ids.length,
    tokens: ids.length,
    targets,
    labels: label === undefined ? [] : [label],
    input: identityOf(inputOf(example), ...pictures),
    whole: identityOf(ids, train, ...pictures),
    ...(label === undefined && { isEmpty: targets <= 1 }),
  };
}
