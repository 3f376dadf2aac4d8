/** The batches of labeled texts: token ids filled up at the right, and a class or a number a row, or a label a word. */
import type { HostArray } from '../../graph/types.ts';
import type { LabeledText } from '../load-labeled.ts';
import { labeledWords, type TaggedText } from '../tagged/load-tagged.ts';
import type { BatchPlan, PlannedBatch } from './batch-plan.ts';
import type { Batch, BatchSource } from './batches.ts';

/** A text as a classifier reads it. */
interface EncodedText {
  readonly ids: Int32Array;
  readonly secondAt: number;
}

interface SourceParams<Example extends EncodedText> {
  readonly plan: BatchPlan;
  readonly examples: readonly Example[];
  readonly padId: number;
  /** Feeds tell which token belongs to the second text. */
  readonly types: boolean;
}

export interface TextSourceParams extends SourceParams<LabeledText> {
  readonly regression: boolean;
}

export const textSource = (params: TextSourceParams): BatchSource => ({
  plan: params.plan,
  fill: planned => {
    const { samples, feeds, ...batch } = fillTexts(params, planned);
    const targets = samples.map(({ target }) => target);
    const shape = { batch: planned.bucket.batch, regression: params.regression };
    return { ...batch, targetCount: samples.length, feeds: of => ({ ...feeds, ...labelFeeds(targets, { ...shape, of }) }) };
  },
});

/** Sentences with a label for each word, at its first token. */
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
        counted[row * tokens + token] = 1;
        count++;
      }
      return count;
    });
    return {
      ...filled,
      targetsOfSamples,
      targetCount: targetsOfSamples.reduce((sum, count) => sum + count, 0),
      feeds: of => ({ ...feeds, labels, weights: counted.map(one => one / of) }),
    };
  },
});

interface FilledTexts<Example> extends Omit<Batch, 'feeds' | 'targetCount'> {
  /** In the order of the rows. */
  readonly samples: readonly Example[];
  readonly feeds: Record<string, HostArray>;
}

function fillTexts<Example extends EncodedText>(
  { examples, padId, types: hasTypes }: SourceParams<Example>,
  { bucket, rows }: PlannedBatch,
): FilledTexts<Example> {
  const { batch, tokens } = bucket;
  const ids = new Int32Array(batch * tokens).fill(padId);
  const seen = new Float32Array(batch * tokens);
  const types = new Int32Array(batch * tokens);
  const sampleIndices = rows.flatMap(row => row.sequences);
  let tokenCount = 0;
  const samples = sampleIndices.map((index, row) => {
    const example = examples[index];
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

/** `labels` and `weights` [batch]; rows beyond the samples weigh nothing. @param targets.of the loss is the sum over the batch divided by this */
export function labelFeeds(
  targets: readonly number[],
  { batch, regression, of }: { readonly batch: number; readonly regression: boolean; readonly of: number },
): Record<string, HostArray> {
  const labels = regression ? new Float32Array(batch) : new Int32Array(batch);
  labels.set(targets);
  return { labels, weights: new Float32Array(batch).fill(1 / of, 0, targets.length) };
}
