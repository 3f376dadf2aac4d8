/**
 * Batches of labeled texts: token ids with padding on the right, and per row a class, several classes or a number, or a label for each
 * word.
 */
import type { HostArray } from '../../graph/types.ts';
import type { LabeledText } from '../load/load-labeled.ts';
import { labeledWords, type TaggedText } from '../tagged/load-tagged.ts';
import type { List } from '../tokens/example-store.ts';
import type { BatchPlan, PlannedBatch } from './batch-plan.ts';
import type { Batch, BatchSource } from './batches.ts';

/** A text as a classifier reads it. */
interface EncodedText {
  readonly ids: Int32Array;
  readonly secondAt: number;
}

interface SourceParams<Example extends EncodedText> {
  readonly plan: BatchPlan;
  readonly examples: Pick<List<Example>, 'at' | 'length'>;
  readonly padId: number;
  /** Whether feeds mark the tokens of the second text. */
  readonly types: boolean;
  /** The weight of each label in the loss; if left out, all weigh 1. */
  readonly classWeights?: readonly number[];
}

export interface TextSourceParams extends SourceParams<LabeledText> {
  readonly regression: boolean;
}

export const textSource = (params: TextSourceParams): BatchSource => ({
  plan: params.plan,
  fill: planned => {
    const { samples, feeds, ...batch } = fillTexts(params, planned);
    const targets = samples.map(({ target }) => target);
    const { regression, classWeights } = params;
    return {
      ...batch,
      targetCount: weightOf(targets, classWeights),
      feeds: of => ({ ...feeds, ...labelFeeds(targets, { batch: planned.bucket.batch, regression, classWeights, of }) }),
    };
  },
});

/** The sum of the targets' weights. The loss is the weighted mean, as in PyTorch's `CrossEntropyLoss(weight)`. */
export const weightOf = (targets: readonly number[], classWeights: readonly number[] | undefined): number =>
  classWeights ? targets.reduce((sum, target) => sum + (classWeights[target] ?? 1), 0) : targets.length;

export interface SeveralSourceParams extends SourceParams<LabeledText> {
  /** Label names by index. */
  readonly labels: readonly string[];
}

/**
 * Returns a source of texts with any number of labels: each text has a target of 0 or 1 for each label. The weight of a label applies to
 * the texts that have it, as with `pos_weight` of PyTorch's `BCEWithLogitsLoss`.
 */
export const severalSource = (params: SeveralSourceParams): BatchSource => ({
  plan: params.plan,
  fill: planned => {
    const { samples, feeds, ...filled } = fillTexts(params, planned);
    const { labels: names, classWeights } = params;
    const count = names.length;
    const labels = new Float32Array(planned.bucket.batch * count);
    const counted = new Float32Array(planned.bucket.batch * count);
    for (const [row, sample] of samples.entries())
      for (const [place, name] of names.entries()) {
        const isPresent = sample.names?.includes(name) === true;
        labels[row * count + place] = Number(isPresent);
        counted[row * count + place] = (isPresent ? (classWeights?.[place] ?? 1) : 1) / count;
      }
    return { ...filled, targetCount: samples.length, feeds: of => ({ ...feeds, labels, weights: counted.map(weight => weight / of) }) };
  },
});

/** Returns a source of sentences with a label for each word, placed at the word's first token. */
export const taggedSource = (params: SourceParams<TaggedText>): BatchSource => ({
  plan: params.plan,
  fill: planned => {
    const { samples, feeds, ...filled } = fillTexts(params, planned);
    const { batch, tokens } = planned.bucket;
    const labels = new Int32Array(batch * tokens);
    const counted = new Float32Array(batch * tokens);
    const targetsOfSamples = samples.map((sample, row) => {
      let count = 0;
      for (const { token, target } of labeledWords(sample)) {
        labels[row * tokens + token] = target;
        counted[row * tokens + token] = params.classWeights?.[target] ?? 1;
        count++;
      }
      return count;
    });
    return {
      ...filled,
      targetsOfSamples,
      targetCount: counted.reduce((sum, weight) => sum + weight, 0),
      feeds: of => ({ ...feeds, labels, weights: counted.map(one => one / of) }),
    };
  },
});

interface FilledTexts<Example> extends Omit<Batch, 'feeds' | 'targetCount'> {
  /** The samples, in the order of the rows. */
  readonly samples: readonly Example[];
  readonly feeds: Record<string, HostArray>;
}

/** Fills the arrays of the texts of a batch, one text per row. */
export function fillTexts<Example extends EncodedText>(
  { examples, padId, types: hasTypes }: Omit<SourceParams<Example>, 'plan'>,
  { bucket, rows }: PlannedBatch,
): FilledTexts<Example> {
  const { batch, tokens } = bucket;
  const ids = new Int32Array(batch * tokens).fill(padId);
  const seen = new Float32Array(batch * tokens);
  const types = new Int32Array(batch * tokens);
  const sampleIndices = rows.flatMap(row => row.sequences);
  let tokenCount = 0;
  const samples = sampleIndices.map((index, row) => {
    const example = examples.at(index);
    if (!example) throw new RangeError(`no sample ${index} among ${examples.length}`);
    const { length } = example.ids;
    ids.set(example.ids, row * tokens);
    seen.fill(1, row * tokens, row * tokens + length);
    types.fill(1, row * tokens + example.secondAt, row * tokens + length);
    tokenCount += length;
    return example;
  });
  return { bucket, sampleIndices, tokenCount, samples, feeds: { ids, seen, ...(hasTypes ? { types } : {}) } };
}

export interface LabelFeedParams {
  readonly batch: number;
  readonly regression: boolean;
  readonly classWeights?: readonly number[] | undefined;
  /** Divisor of the loss, which is summed over the batch. */
  readonly of: number;
}

/** The feeds `labels` and `weights` [batch]; rows without a sample have weight 0. */
export function labelFeeds(
  targets: readonly number[],
  { batch, regression, classWeights, of }: LabelFeedParams,
): Record<string, HostArray> {
  const labels = regression ? new Float32Array(batch) : new Int32Array(batch);
  labels.set(targets);
  const weights = new Float32Array(batch);
  weights.set(targets.map(target => (classWeights?.[target] ?? 1) / of));
  return { labels, weights };
}
