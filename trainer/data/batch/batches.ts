/** Fills the arrays of a planned batch, and iterates over the batches of a run with a cursor that is enough to resume. */
import type { HostArray } from '../../graph/types.ts';
import type { List } from '../tokens/example-store.ts';
import type { TokenSequence } from '../types.ts';
import { type BatchPlan, type Bucket, type PlannedBatch, plannedBatches } from './batch-plan.ts';

/** A batch as the training loop sees it, for any task. */
export interface Batch {
  readonly bucket: Bucket;
  /** The samples in the batch, row by row. */
  readonly sampleIndices: readonly number[];
  /** Number of tokens without padding; the number of samples if samples have no length. */
  readonly tokenCount: number;
  readonly targetCount: number;
  /** The sum of the targets' weights; if left out, each weighs 1. */
  readonly targetWeight?: number;
  /** Number of targets of each sample, in the order of `sampleIndices`; if left out, each sample has one. */
  readonly targetsOfSamples?: readonly number[];
  /** Number of targets of a second loss that has targets of its own. */
  readonly furtherTargets?: number;
  /** [batch × tokens] the segment of each token; 0 is padding. */
  readonly segments?: Int32Array;
  /** [targets] the NLL of each target under the base model, if the loss compares with it. `feeds` passes on the values written here. */
  readonly baseNll?: Float32Array;
  /**
   * Returns the feeds of the task's signatures.
   * @param targetCount divisor of the loss, which is summed over the batch: all targets of an optimizer step
   * @param furtherTargets the same for the second loss; if left out, the batch counts in proportion to its share of the targets
   */
  readonly feeds: (targetCount: number, furtherTargets?: number) => Record<string, HostArray>;
}

/** A plan, and a function that fills the arrays of its batches, which may read and decode files. */
export interface BatchSource<B extends Batch = Batch> {
  readonly plan: BatchPlan;
  /**
   * Fills a batch.
   * @param following batches that are filled next and may be started already; if left out, the ones after it in its epoch
   */
  readonly fill: (planned: PlannedBatch, following?: readonly PlannedBatch[]) => B | Promise<B>;
  /** Takes back the arrays of a batch for reuse; its feeds are not read again. Left out if arrays are small. */
  readonly release?: (batch: Batch) => void;
}

/** A batch of token sequences with targets. */
export interface TokenBatch extends Batch {
  /** [batch × tokens]; padding is `padId`. */
  readonly ids: Int32Array;
  /** [batch × tokens] the sequence within its row that a token belongs to, from 1; 0 is padding. Attention stays within a segment. */
  readonly segments: Int32Array;
  /** [batch × tokens] position within the segment, from 0; 0 in padding. */
  readonly positions: Int32Array;
  /** [targets] flat index b·tokens + t of the position whose output predicts the target, which is the position before the target. */
  readonly targetPositions: Int32Array;
  /** [targets] */
  readonly targetIds: Int32Array;
  /** [targets] the weight of the target's turn (1 by default); 0 in slots that only fill the shape. */
  readonly targetWeights: Float32Array;
  /** [targets] the sequence of each target, as an index into the plan's sequences; −1 in slots that only fill the shape. */
  readonly targetSamples: Int32Array;
}

export const isTokenBatch = (batch: Batch): batch is TokenBatch => 'targetSamples' in batch;

/** The next batch to train on: the only state of the data that has to be saved. */
export interface DataCursor {
  readonly epoch: number;
  readonly batchIndex: number;
}

export interface OptimizerStep {
  /** The micro-batches whose gradients are summed. */
  readonly batches: readonly Batch[];
  /** Divisor of each micro-batch's summed loss: the number of targets, or the sum of their weights. */
  readonly targetCount: number;
  readonly next: DataCursor;
}

export const dataStart: DataCursor = { epoch: 0, batchIndex: 0 };

/** Number of optimizer steps per epoch; the last step takes the remaining batches. */
export function stepsPerEpoch(plan: BatchPlan, accumulationSteps: number): number {
  return Math.ceil(plan.batchesPerEpoch / accumulationSteps);
}

/**
 * The batches of the optimizer step at a cursor. A step never extends beyond its epoch.
 * @throws RangeError for a cursor outside the plan
 */
export async function stepAt({ plan, fill }: BatchSource, cursor: DataCursor, accumulationSteps: number): Promise<OptimizerStep> {
  const { epoch, batchIndex } = cursor;
  const planned = plannedBatches(plan, epoch, batchIndex, batchIndex + accumulationSteps);
  if (planned.length === 0) throw new RangeError(`batch ${batchIndex} of epoch ${epoch}: the epoch has ${plan.batchesPerEpoch}`);
  const batches = await Promise.all(planned.map(each => fill(each)));
  const end = batchIndex + planned.length;
  return {
    batches,
    targetCount: batches.reduce((sum, batch) => sum + (batch.targetWeight ?? batch.targetCount), 0),
    next: end < plan.batchesPerEpoch ? { epoch, batchIndex: end } : { epoch: epoch + 1, batchIndex: 0 },
  };
}

/** The batches of one epoch in order, for an evaluation. */
export const epochBatches = <B extends Batch>(source: BatchSource<B>, epoch: number): AsyncGenerator<B> =>
  filledBatches(source, source.plan.epoch(epoch));

/** Fills these batches in order. Each stays valid until the next one is requested. */
export async function* filledBatches<B extends Batch>(
  { fill, release }: BatchSource<B>,
  batches: Iterable<PlannedBatch>,
): AsyncGenerator<B> {
  for (const planned of batches) {
    const batch = await fill(planned);
    yield batch;
    release?.(batch);
  }
}

export interface TokenSourceParams {
  readonly plan: BatchPlan;
  readonly sequences: List<TokenSequence>;
  readonly padId: number;
  readonly packed: boolean;
}

/** A source of the batches of a plan over token sequences. */
export const tokenSource = ({ plan, sequences, padId, packed }: TokenSourceParams): BatchSource<TokenBatch> => ({
  plan,
  fill: planned => fillBatch(sequences, planned, { padId, packed }),
});

/** Fills the arrays of a batch. Missing rows of a short batch become padding without targets. */
function fillBatch(
  sequences: List<TokenSequence>,
  { bucket, rows }: PlannedBatch,
  { padId, packed }: Pick<TokenSourceParams, 'padId' | 'packed'>,
): TokenBatch {
  const { batch, tokens, targets } = bucket;
  const ids = new Int32Array(batch * tokens).fill(padId);
  const segments = new Int32Array(batch * tokens);
  const positions = new Int32Array(batch * tokens);
  const targetPositions = new Int32Array(targets);
  const targetIds = new Int32Array(targets);
  const targetWeights = new Float32Array(targets);
  const targetSamples = new Int32Array(targets).fill(-1);
  const sampleIndices: number[] = [];
  let tokenCount = 0;
  let targetCount = 0;
  let targetWeight: number | undefined;
  for (const [rowIdx, row] of rows.entries()) {
    let start = rowIdx * tokens;
    for (const [order, sampleIdx] of row.sequences.entries()) {
      const sequence = sequences.at(sampleIdx);
      if (sequence === undefined) throw new RangeError(`no sequence ${sampleIdx} among ${sequences.length}`);
      const { ids: tokenIds, train, weights } = sequence;
      if (weights) targetWeight ??= targetCount;
      ids.set(tokenIds, start);
      segments.fill(order + 1, start, start + tokenIds.length);
      for (const [position, id] of tokenIds.entries()) {
        positions[start + position] = position;
        if (train[position] !== 1) continue;
        targetPositions[targetCount] = start + position - 1;
        targetIds[targetCount] = id;
        const weight = weights?.[position] ?? 1;
        targetWeights[targetCount] = weight;
        if (targetWeight !== undefined) targetWeight += weight;
        targetSamples[targetCount] = sampleIdx;
        targetCount++;
      }
      sampleIndices.push(sampleIdx);
      start += tokenIds.length;
      tokenCount += tokenIds.length;
    }
  }
  return {
    bucket,
    ids,
    segments,
    positions,
    targetPositions,
    targetIds,
    targetWeights,
    sampleIndices,
    targetSamples,
    tokenCount,
    targetCount,
    ...(targetWeight !== undefined && { targetWeight }),
    feeds: of => {
      const feeds = { ids, targetPositions, targetIds, targetWeights: targetWeights.map(weight => weight / of) };
      return packed ? { ...feeds, segments, positions } : feeds;
    },
  };
}
