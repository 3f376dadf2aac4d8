/** The preview of a classifier's data. */
import path from 'node:path';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { orderSettings } from '../../data/batch/batch-settings.ts';
import { DataProblems } from '../../data/data-error.ts';
import { labeledSamples } from '../../data/load/load-labeled.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { identityOf } from '../../data/shown/sample-identity.ts';
import { showImages } from '../../data/shown/show-images.ts';
import { showLabeled, showTagged } from '../../data/shown/show-labeled.ts';
import { loadedPart, type SampleFacts } from '../../data/shown/statistics.ts';
import { labeledWords } from '../../data/tagged/load-tagged.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { type DataPreview, type PreviewData, partOf } from '../data-preview.ts';
import type { ReadParams } from '../task-setup.ts';
import type { ClassifierReader, Labeled } from './classifier-reader.ts';
import { imagesOf, modelFor, readParts, tokensOf } from './classifier-setup.ts';
import { imageForm, imageReader } from './image-reader.ts';
import { taggedReader } from './tagged-reader.ts';
import { textReader } from './text-reader.ts';

export const previewLabeled: PreviewData = async params => {
  const { recipe, base } = params;
  const reader = await textReader(params, tokensOf(params, 'classifies texts'));
  const { target, ranks } = objectiveCatalog[recipe.task];
  const { tokenizer } = await withTokenizer(base);
  const { seed, max_length: maxLength, data } = recipe;
  const common = {
    tokenizer,
    columns: data.columns,
    ranks,
    regression: target === 'number',
    multiple: target === 'labels',
    maxLength,
    seed,
  };
  return {
    async *samples(part, onFormat) {
      const labels = part === 'eval' && data.labels.length === 0 && target === 'label' ? await trainLabels() : data.labels;
      yield* showLabeled({ ...common, ...partOf(params, part), labels, onFormat });
    },
    load: () =>
      load(params, reader, ({ ids, label, names = [], target: place, file, line }) => ({
        ...ofTokens(ids, [label, names.join('\n'), place]),
        file,
        line,
        labels: label === '' ? names : [label],
      })),
  };

  /** The labels of the training data: held-out samples may have no others. */
  async function trainLabels(): Promise<readonly string[]> {
    const { paths } = partOf(params, 'train');
    if (paths.length === 0) return [];
    const names = new Set<string>();
    const samples = labeledSamples({ ...common, labels: [] }, await listDataFiles(paths), { problems: new DataProblems() });
    for await (const { label } of samples) names.add(label);
    return [...names];
  }
};

export const previewTagged: PreviewData = async params => {
  const { recipe, base } = params;
  const reader = await taggedReader(params, tokensOf(params, 'reads texts from both sides'));
  const { tokenizer } = await withTokenizer(base);
  const { seed, max_length: maxLength, data } = recipe;
  const common = { tokenizer, columns: data.columns, labels: data.labels, maxLength, seed };
  return {
    samples: (part, onFormat) => showTagged({ ...common, ...partOf(params, part), onFormat }),
    load: () =>
      load(params, reader, example => ({
        ...ofTokens(example.ids, [example.tags.join('\n')]),
        file: example.file,
        line: example.line,
        targets: [...labeledWords(example)].length,
        labels: example.tags,
      })),
  };
};

export const previewImages: PreviewData = async params => {
  const { recipe } = params;
  const input = imagesOf(params);
  const form = await imageForm(params, input);
  const reader = imageReader(params, form);
  const { seed, data } = recipe;
  return {
    samples: part =>
      showImages({
        ...partOf(params, part),
        columns: data.columns,
        labels: data.labels,
        seed,
        preprocessing: form.preprocessing,
        channels: input.channels,
      }),
    load: () =>
      load(params, reader, ({ label, file, line, content }) => {
        const identity = content === undefined ? identityOf(path.resolve(file), line ?? 0) : identityOf(content);
        return { file, line, length: 1, tokens: 1, targets: 0, labels: [label], input: identity, whole: identityOf(identity, label) };
      }),
  };
};

const ofTokens = (ids: Int32Array, answer: readonly (string | number)[]) => ({
  length: ids.length,
  tokens: ids.length,
  targets: 0,
  input: identityOf(ids),
  whole: identityOf(ids, ...answer),
});

async function load<Sample extends Labeled>(
  params: ReadParams,
  reader: ClassifierReader<Sample>,
  factsOf: (sample: Sample) => SampleFacts,
): ReturnType<DataPreview['load']> {
  const { recipe } = params;
  const { train, held, labels } = await readParts(params, 'train', reader);
  const model = modelFor(params, labels, reader.imageSize);
  const request = { batchSize: recipe.per_device_train_batch_size, order: orderSettings(recipe), trains: false };
  return {
    train: loadedPart(train, factsOf, reader.source(train, model, request).plan),
    held: loadedPart(held, factsOf),
  };
}
