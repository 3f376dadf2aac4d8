/** From a batch of data to what a signature is fed. */
import type { HostArray } from '../graph/types.ts';
import type { Batch } from './data/batches.ts';

/** @param targetCount the loss is the sum over the batch divided by this: all targets of an optimizer step */
export function batchFeeds(batch: Batch, targetCount: number, packed: boolean): Record<string, HostArray> {
  const { ids, targetPositions, targetIds, targetWeights, segments, positions } = batch;
  const feeds = { ids, targetPositions, targetIds, targetWeights: targetWeights.map(weight => weight / targetCount) };
  return packed ? { ...feeds, segments, positions } : feeds;
}
