/** The plan of samples that take several neighboring rows of a batch. */
import { valueFor } from '../../narrow.ts';
import type { BatchPlan, PlannedBatch } from './batch-plan.ts';

/**
 * The plan with `rowsPerSample` rows for each sample; the number of samples per batch does not change.
 * @param tokensOf returns the tokens of all rows of a sample
 */
export function withRowsPerSample(plan: BatchPlan, rowsPerSample: number, tokensOf: (sample: number) => number): BatchPlan {
  const widened = new Map(plan.buckets.map(bucket => [bucket, { ...bucket, batch: rowsPerSample * bucket.batch }]));
  const epoch = (number: number): PlannedBatch[] =>
    plan.epoch(number).map(batch => ({ ...batch, bucket: valueFor(widened, batch.bucket) }));
  const first = epoch(0);
  const slots = first.reduce((sum, { bucket }) => sum + bucket.batch * bucket.tokens, 0);
  const samples = first.flatMap(({ rows }) => rows.flatMap(({ sequences }) => sequences));
  const used = samples.reduce((sum, sample) => sum + tokensOf(sample), 0);
  return { ...plan, buckets: [...widened.values()], paddingShare: 1 - used / slots, epoch };
}
