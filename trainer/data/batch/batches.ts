/** Fills the arrays of a planned batch, and walks through the batches of a run by a cursor that is enough to resume. */
import type { HostArray } from '../../graph/types.ts';
import type { List } from '../tokens/example-store.ts';
import type { TokenSequence } from '../types.ts';
import { type BatchPlan, type Bucket, type PlannedBatch, plannedBatches } from './batch-plan.ts';

/** A batch as the loop sees it, whatever the task. */
export interface Batch {
  readonly bucket: Bucket;
  /** The samples in the batch, row by row. */
  readonly sampleIndices: readonly number[];
  /** Tokens that are no padding; of samples without a length, the samples. */
  readonly tokenCount: number;
  readonly targetCount: number;
  /** The sum of the weights of targets; left out, each weighs 1. */
  readonly targetWeight?: number;
  /** Targets of each sample in the order of `sampleIndices`, of samples that have several; left out, each has one. */
  readonly targetsOfSamples?: readonly number[];
  /** Targets of a second loss, where one is added that has its own. */
  readonly furtherTargets?: number;
  /** [batch × tokens] of rows of tokens: 0 is padding. */
  readonly segments?: Int32Array;
  /** [targets] the NLL of each target under the base model, where the loss compares with it; `feeds` gives what is written here. */
  readonly baseNll?: Float32Array;
  /**
   * Returns the feeds of the task's signatures.
   * @param targetCount the loss is the sum over the batch divided by this: all targets of an optimizer step
   * @param furtherTargets the same of the second loss; left out, the batch counts as its share of the targets
   */
  readonly feeds: (targetCount: number, furtherTargets?: number) => Record<string, HostArray>;
}

/** A plan, and how the arrays of its batches are filled: by reading and decoding where samples are files. */
export interface BatchSource<B extends Batch = Batch> {
  readonly plan: BatchPlan;
  /** @param following the batches that are filled next, which may be begun; left out, those after it in its epoch */
  readonly fill: (planned: PlannedBatch, following?: readonly PlannedBatch[]) => B | Promise<B>;
  /** Takes back the arrays of a batch, whose feeds are not asked for again, to fill them anew. Left out where arrays are small. */
  readonly release?: (batch: Batch) => void;
}

/** A batch of token sequences with targets. */
export interface TokenBatch extends Batch {
  /** [batch × tokens]; padding is `padId`. */
  readonly ids: Int32Array;
  /** [batch × tokens] the sequence of a row that a token belongs to, from 1; 0 is padding. Attention stays within a segment. */
  readonly segments: Int32Array;
  /** [batch × tokens] from 0 in each segment; 0 in padding. */
  readonly positions: Int32Array;
  /** [targets] flat index b·tokens + t of the position whose output predicts the target: the one before it. */
  readonly targetPositions: Int32Array;
  /** [targets] */
  readonly targetIds: Int32Array;
  /** [targets] 1 or the weight of a turn, and 0 in slots that only fill the shape. */
  readonly targetWeights: Float32Array;
  /** [targets] the sequence of each target as an index into the plan's sequences; −1 in slots that only fill the shape. */
  readonly targetSamples: Int32Array;
}

export const isTokenBatch = (batch: Batch): batch is TokenBatch => 'targetSamples' in batch;

/** The next batch to train on: all that has to be saved of the data. */
export interface DataCursor {
  readonly epoch: number;
  readonly batchIndex: number;
}

export interface OptimizerStep {
  /** Micro-batches whose gradients are added up. */
  readonly batches: readonly Batch[];
  /** The loss of every micro-batch is its summed loss over this: the targets, or the sum of their weights. */
  readonly targetCount: number;
  readonly next: DataCursor;
}

export const dataStart: DataCursor = { epoch: 0, batchIndex: 0 };

/** Optimizer steps an epoch; the last one takes the batches that are left. */
export function stepsPerEpoch(plan: BatchPlan, accumulationSteps: number): number {
  return Math.ceil(plan.batchesPerEpoch / accumulationSteps);
}

/** The batches of the optimizer step at a cursor; a step ends with its epoch. Throws RangeError for a cursor outside the plan. */
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

/** The batches of one epoch in order, as an evaluation reads them. */
export const epochBatches = <B extends Batch>(source: BatchSource<B>, epoch: number): AsyncGenerator<B> =>
  filledBatches(source, source.plan.epoch(epoch));

/** These batches in their order, each until the next one is asked for. */
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

/** The batches of a plan over sequences. */
export const tokenSource = ({ plan, sequences, padId, packed }: TokenSourceParams): BatchSource<TokenBatch> => ({
  plan,
  fill: planned => fillBatch(sequences, planned, { padId, packed }),
});

/** The arrays of a batch. Rows that are missing in a short batch are padding without targets. */
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
