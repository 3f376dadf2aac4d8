/** Feeds that measures need in addition to a batch: the sample of each row, and the positions that hold tokens. */

import { type Batch, isTokenBatch } from '../data/batch/batches.ts';
import type { HostArray } from '../graph/types.ts';

/**
 * `sampleWeights` [batch]: 1 / the targets of the sample, which turns a sum of losses into the sample's mean; `sampleClasses` int32
 * [batch], −1 without a class; `present` [batch · tokens]. The first two require one sample per row.
 */
export function sampleFeeds(
  batch: Batch,
  { classOf = () => -1, rowsPerSample = 1 }: { readonly classOf?: (sample: number) => number; readonly rowsPerSample?: number } = {},
): Record<string, HostArray> {
  const { bucket, sampleIndices } = batch;
  const count = bucket.batch / rowsPerSample;
  const sampleWeights = new Float32Array(count);
  const sampleClasses = new Int32Array(count).fill(-1);
  for (const [row, sample] of sampleIndices.slice(0, count).entries()) {
    sampleWeights[row] = 1 / Math.max(1, targetsOf(batch, sample, row));
    sampleClasses[row] = classOf(sample);
  }
  return { sampleWeights, sampleClasses, present: presence(batch) };
}

function targetsOf(batch: Batch, sample: number, row: number): number {
  return isTokenBatch(batch)
    ? batch.targetSamples.reduce((count, of) => count + Number(of === sample), 0)
    : (batch.targetsOfSamples?.[row] ?? 1);
}

/** 1 for each token of a sample or, for samples without a length, for each sample; else 0. */
function presence(batch: Batch): Float32Array {
  const { bucket, sampleIndices } = batch;
  if (batch.segments) return Float32Array.from(batch.segments, segment => Number(segment > 0));
  const { seen } = batch.feeds(1);
  if (seen) return Float32Array.from(seen);
  return Float32Array.from({ length: bucket.batch * bucket.tokens }, (_, i) =>
    Number(Math.floor(i / bucket.tokens) < sampleIndices.length),
  );
}
