/** Reads texts, alone or in pairs, with one label, several labels, or a number, for a classifier. */

import { objectiveCatalog } from '../../catalog/objectives.ts';
import { type BatchPlan, planBatches } from '../../data/batch/batch-plan.ts';
import { BUCKETS, type OrderSettings } from '../../data/batch/batch-settings.ts';
import { severalSource, textSource } from '../../data/batch/text-batches.ts';
import { checkMaxLength } from '../../data/example/max-length.ts';
import { type LabeledText, loadLabeled } from '../../data/load/load-labeled.ts';
import { withTokenizer } from '../../job/open-base.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { inputOf } from '../../model/model-spec.ts';
import { checkVocabulary } from '../load-data.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';
import { classEvaluator } from './class-evaluator.ts';
import { type ClassifierReader, countPlaces, placeLabel } from './classifier-reader.ts';
import { queryOf, rankEvaluator } from './rank-evaluator.ts';
import { severalEvaluator } from './several-evaluator.ts';

export type TokenInput = Extract<ClassifierModel['input'], { kind: 'tokens' }>;

export async function textReader(params: ReadParams, input: TokenInput): Promise<ClassifierReader<LabeledText>> {
  const { recipe, base } = params;
  const { max_length: maxLength } = recipe;
  checkMaxLength(maxLength, input.maxPositions);
  const { tokenizer } = await withTokenizer(base);
  const { target, ranks } = objectiveCatalog[recipe.task];
  const [regression, multiple] = [target === 'number', target === 'labels'];
  return {
    async read({ files, labels, maxSamples }) {
      const { data, seed } = recipe;
      const common = { tokenizer, columns: data.columns, regression, ranks, multiple, labels, maxLength, maxSamples, seed };
      const loaded = await readFiles(params, files, paths => loadLabeled({ paths, ...common }));
      checkVocabulary(loaded.examples, input);
      return loaded;
    },
    // The documents of a query are all trained on, or all ranked.
    ...(ranks && { groupOf: queryOf }),
    place: multiple ? () => example => example : placeLabel,
    countLabels: (examples, labels) =>
      countPlaces(
        examples.flatMap(({ names, target: place }) => names?.map(name => labels.indexOf(name)) ?? [place]),
        labels,
      ),
    evaluator: (examples, model, source) =>
      multiple
        ? severalEvaluator({ labels: model.labels, source, names: examples.map(({ names = [] }) => names) })
        : ranks
          ? rankEvaluator(source, examples)
          : classEvaluator({ model, source, targets: examples.map(({ target: place }) => place) }),
    source(examples, model, { batchSize, order, classWeights }) {
      const { padId, tokenTypes } = inputOf(model, 'tokens');
      const plan = planTexts(examples, { batchSize, maxLength, ...order });
      const common = { plan, examples, padId, types: tokenTypes > 1, classWeights };
      return multiple ? severalSource({ ...common, labels: model.labels }) : textSource({ ...common, regression });
    },
  };
}

/** Plans batches of texts whose targets need no extra room. */
export function planTexts(
  texts: readonly { readonly ids: Int32Array }[],
  settings: OrderSettings & { readonly batchSize: number; readonly maxLength: number },
): BatchPlan {
  const sizes = texts.map(({ ids }) => ({ length: ids.length, targets: 1 }));
  return planBatches(sizes, { packing: false, ...settings, ...BUCKETS, maxTargetSizes: 1, targetMultiple: 1 });
}
