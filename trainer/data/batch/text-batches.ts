/** The batches of labeled texts: token ids filled up at the right, and a class or a number a row. */
import type { HostArray } from '../../graph/types.ts';
import type { LabeledText } from '../load-labeled.ts';
import type { BatchPlan, PlannedBatch } from './batch-plan.ts';
import type { Batch, BatchSource } from './batches.ts';

export interface TextSourceParams {
  readonly plan: BatchPlan;
  readonly examples: readonly LabeledText[];
  readonly padId: number;
  /** Feeds tell which token belongs to the second text. */
  readonly types: boolean;
  readonly regression: boolean;
}

export const textSource = (params: TextSourceParams): BatchSource => ({ plan: params.plan, fill: planned => fillTexts(params, planned) });

function fillTexts({ examples, padId, types: hasTypes, regression }: TextSourceParams, { bucket, rows }: PlannedBatch): Batch {
  const { batch, tokens } = bucket;
  const ids = new Int32Array(batch * tokens).fill(padId);
  const seen = new Float32Array(batch * tokens);
  const types = new Int32Array(batch * tokens);
  const sampleIndices = rows.flatMap(row => row.sequences);
  let tokenCount = 0;
  for (const [row, index] of sampleIndices.entries()) {
    const example = examples[index];
    if (!example) throw new RangeError(`no sample ${index} among ${examples.length}`);
    const { length } = example.ids;
    ids.set(example.ids, row * tokens);
    seen.fill(1, row * tokens, row * tokens + length);
    types.fill(1, row * tokens + example.secondAt, row * tokens + length);
    tokenCount += length;
  }
  const targets = sampleIndices.map(index => examples[index]?.target ?? 0);
  return {
    bucket,
    sampleIndices,
    tokenCount,
    targetCount: sampleIndices.length,
    feeds: of => ({ ids, seen, ...(hasTypes ? { types } : {}), ...labelFeeds(targets, { batch, regression, of }) }),
  };
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
