/** Large training data of classifiers, of which no text has to be tokenized before the first batches. */

import path from 'node:path';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { BUCKETS } from '../../data/batch/batch-settings.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { planInOrder } from '../../data/batch/plan-in-order.ts';
import { severalSource, textSource } from '../../data/batch/text-batches.ts';
import { checkMaxLength } from '../../data/example/max-length.ts';
import { placesOf } from '../../data/label-places.ts';
import { labelsIn } from '../../data/lazy/decide/labeled-decider.ts';
import { type LabeledInOrder, openLabeledInOrder } from '../../data/lazy/labeled-in-order.ts';
import type { LabeledText } from '../../data/load/load-labeled.ts';
import { splitSamples } from '../../data/split.ts';
import { type List, listOf } from '../../data/tokens/example-store.ts';
import { withTokenizer } from '../../job/open-base.ts';
import type { KnownTokens } from '../../model/known-tokens.ts';
import { type ClassifierModel, inputOf } from '../../model/model-spec.ts';
import { checkVocabulary, largeData } from '../load-data.ts';
import { countLabels, LAZY_BYTES, type LabelCounts, logTokenizesFirst, scanProgress } from '../load-in-order.ts';
import type { SetUpParams } from '../task-setup.ts';
import type { SourceRequest } from './classifier-reader.ts';
import type { TokenInput } from './text-reader.ts';

/**
 * Opens the training data after one pass over its samples.
 * @returns undefined if the data is small, if the resumed run batched it differently, or if the batches depend on all texts
 * @throws DataError as `loadLabeled` does
 */
export async function openTextsInOrder(params: SetUpParams, { maxPositions }: TokenInput): Promise<LabeledInOrder | undefined> {
  const { recipe, job, context, batching, labels: known = [] } = params;
  const { target, ranks } = objectiveCatalog[recipe.task];
  const { data, max_length: maxLength, val_size: validation, seed } = recipe;
  const reads = target === 'label' || target === 'labels' || target === 'number';
  if (!reads || batching === 1 || batching === 2 || data.train.length === 0) return undefined;
  checkMaxLength(maxLength, maxPositions);
  const base = await withTokenizer(params.base);
  job.phase('data', `reading ${data.train.join(', ')}`);
  const opened = await openLabeledInOrder({
    paths: data.train.map(file => path.resolve(context.baseDir, file)),
    tokenizer: base.tokenizer,
    columns: data.columns,
    regression: target === 'number',
    ranks,
    multiple: target === 'labels',
    labels: data.labels.length > 0 ? data.labels : known,
    maxLength,
    ...(data.max_samples !== undefined && { maxSamples: data.max_samples }),
    seed,
    large: largeData({ ...params, base }),
    lazyBytes: LAZY_BYTES,
    whyFirst: ranks && data.eval.length === 0 && validation > 0 ? 'the tokens of queries tell which are held out' : undefined,
    onScan: scanProgress(params),
  });
  job.checkStop();
  if (opened === undefined || !('reason' in opened)) return opened;
  logTokenizesFirst(params, opened.reason);
  return undefined;
}

/** The number of samples per label, for the log. */
export const countsOf = ({ labels, multiple, index }: LabeledInOrder): LabelCounts =>
  countLabels(labels, index.labels, name => (multiple ? labelsIn(name) : [name]));

/** The texts with the indices of their labels, split into training and held-out texts. */
export interface TextsInOrder {
  readonly train: List<LabeledText>;
  /** The indices of the held-out texts. */
  readonly held: readonly number[];
  readonly all: List<LabeledText>;
  /** Returns the label index of a training sample; −1 for a number, and for several labels. */
  targetOf(index: number): number;
  /** Number of training samples per label. */
  readonly counts: readonly number[];
  /** Identifies the training samples. */
  readonly digest: string;
}

interface PartSettings {
  readonly validation: number;
  readonly seed: number;
  /** A text with another token is refused when it is read. */
  readonly known: KnownTokens;
}

/** @param labels by id @throws DataError if no sample would be left to train on */
export function partTexts(
  { texts, labelsOf, multiple, content }: LabeledInOrder,
  labels: readonly string[],
  { validation, seed, known }: PartSettings,
): TextsInOrder {
  const places = placesOf(labels);
  const isNumber = labels.length === 0;
  const all = listOf(texts.length, (sample): LabeledText => {
    const text = texts.at(sample);
    if (text === undefined) throw new RangeError(`no text ${sample} among ${texts.length}`);
    const { value, ...rest } = text;
    checkVocabulary([text], known);
    return { ...rest, target: isNumber ? value : (places.get(rest.label) ?? -1) };
  });
  const labelOf = (sample: number): string => (multiple ? '' : (labelsOf(sample)[0] ?? ''));
  const names = validation === 0 || isNumber || multiple ? undefined : Array.from({ length: texts.length }, (_, sample) => labelOf(sample));
  const split = validation === 0 ? undefined : splitSamples({ count: texts.length, validation, seed, ...(names && { labels: names }) });
  const own = split && Int32Array.from(split.train);
  const sampleOf = (index: number): number => own?.[index] ?? index;
  const count = own?.length ?? texts.length;
  const targetOf = (index: number): number => (isNumber ? -1 : (places.get(labelOf(sampleOf(index))) ?? -1));
  const counts = labels.map(() => 0);
  if (!isNumber)
    for (let index = 0; index < count; index++)
      for (const label of labelsOf(sampleOf(index))) {
        const place = places.get(label) ?? -1;
        if (place in counts) counts[place] = (counts[place] ?? 0) + 1;
      }
  return {
    train: listOf(count, index => all.at(sampleOf(index)) ?? missing(index, count)),
    held: split?.validation ?? [],
    all,
    targetOf,
    counts,
    digest: `${count}:${content}${split ? `-${validation}-${seed}` : ''}`,
  };
}

function missing(index: number, count: number): never {
  throw new RangeError(`no text ${index} among ${count}`);
}

interface InOrderRequest extends Omit<SourceRequest, 'trains'> {
  /** Maximum length in tokens. */
  readonly maxLength: number;
  /** The kind of target, as in the catalog of objectives. */
  readonly target: string;
}

/** The batches of texts; those within a window are tokenized ahead of time. */
export function sourceInOrder(
  texts: List<LabeledText>,
  model: ClassifierModel,
  { batchSize, order, maxLength, classWeights, target }: InOrderRequest,
): BatchSource {
  const { padId, tokenTypes } = inputOf(model, 'tokens');
  const sizes = listOf(texts.length, index => ({ length: texts.at(index)?.ids.length ?? 0, targets: 1 }));
  const plan = planInOrder(sizes, { packing: false, batchSize, maxLength, ...order, ...BUCKETS, maxTargetSizes: 1, targetMultiple: 1 });
  const common = { plan, examples: texts, padId, types: tokenTypes > 1, classWeights };
  return target === 'labels'
    ? severalSource({ ...common, labels: model.labels })
    : textSource({ ...common, regression: target === 'number' });
}
