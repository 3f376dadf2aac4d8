/** One batch with cached outputs: forward pass, loss, and backward pass, with the model run on one mini-batch at a time. */
import type { Session } from '../engine/engine.ts';
import { float32Of, type HostArray } from '../graph/types.ts';
import { required } from '../narrow.ts';
import type { BatchShape, CachedLoss } from './task.ts';
import { forwardSignature, lossSignature, miniBatches, trainSignature } from './train-passes.ts';

export interface CachedBatch {
  readonly shape: BatchShape;
  /** Number of rows that belong to a sample. The others are padding; mini-batches of padding are skipped. */
  readonly rows: number;
  /** The feeds of the batch; except for those of the loss, the first axis is its rows. */
  readonly feeds: Readonly<Record<string, HostArray>>;
  /** Returns the seed of a mini-batch, the same in both passes. */
  readonly seedOf: (miniBatch: number) => Int32Array;
}

/** Adds the gradients of a batch to those of the update. @returns the `loss` of the batch */
export async function runCachedBatch(
  session: Pick<Session, 'run'>,
  cached: CachedLoss,
  { shape, rows, feeds, seedOf }: CachedBatch,
): Promise<Record<string, HostArray>> {
  const { width, lossFeeds } = cached;
  const ofRows = Object.entries(feeds).filter(([name]) => !lossFeeds.includes(name));
  const parts = miniBatches(cached, shape)
    .filter(({ start }) => start < rows)
    .map(({ start, shape: part }, i) => {
      const own = (array: HostArray): HostArray => {
        const size = array.length / shape.batch;
        return array.subarray(start * size, (start + part.batch) * size);
      };
      return { start, part, own, feeds: { ...Object.fromEntries(ofRows.map(([name, array]) => [name, own(array)])), seed: seedOf(i) } };
    });
  const outputs = new Float32Array(shape.batch * width);
  for (const { start, part, feeds: given } of parts)
    outputs.set(outputOf(await session.run(forwardSignature(part), given), 'outputs'), start * width);
  const compared = await session.run(lossSignature(shape), { ...feeds, outputs });
  const gradient = outputOf(compared, 'gradient');
  for (const { part, own, feeds: given } of parts) await session.run(trainSignature(part), { ...given, gradient: own(gradient) });
  return { loss: outputOf(compared, 'loss') };
}

const outputOf = (found: Readonly<Record<string, HostArray>>, name: string): Float32Array => float32Of(required(found[name], name));
