/** The batches of pairs: both answers of each, the better one in an even row and the worse one in the row below it. */
import type { HostArray } from '../../graph/types.ts';
import type { Pair, TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import { type BatchPlan, type BatchSettings, type Bucket, type PlannedBatch, planBatches, type Row } from './batch-plan.ts';
import { type Batch, type BatchSource, type TokenBatch, tokenSource } from './batches.ts';

/** Both answers. */
export const PAIR_ROWS = 2;

/** A batch of pairs. Its targets are those of the rows; `targetCount` counts pairs. */
export interface PairBatch extends Batch {
  readonly rows: Pick<TokenBatch, 'targetPositions' | 'targetSamples' | 'targetWeights' | 'targetCount'>;
  /** [targets] the NLL of each target under the base model; 0 where it is not known. */
  readonly baseNll: Float32Array;
}

/** The NLL of each target of a sequence under the base model, by the sequence's number: 2 · pair, and 2 · pair + 1 for the worse answer. */
export type BaseNlls = (sequence: number) => Float32Array | undefined;

/** The sequences of pairs, the better answers at even places. */
export const sidesOf = (pairs: readonly Pair[]): TokenSequence[] => pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);

/** A plan whose samples are pairs and whose batches have two rows for each. */
export function planPairs(pairs: readonly Pair[], settings: BatchSettings): BatchPlan {
  const sizes = pairs.map(({ chosen, rejected }) => ({
    length: Math.max(chosen.ids.length, rejected.ids.length),
    targets: countTargets(chosen) + countTargets(rejected),
  }));
  const plan = planBatches(sizes, settings);
  const doubled = new Map(plan.buckets.map(bucket => [bucket, { ...bucket, batch: PAIR_ROWS * bucket.batch }]));
  const epoch = (number: number): PlannedBatch[] =>
    plan.epoch(number).map(batch => ({ ...batch, bucket: doubled.get(batch.bucket) as Bucket }));
  const used = pairs.reduce((sum, { chosen, rejected }) => sum + chosen.ids.length + rejected.ids.length, 0);
  const slots = epoch(0).reduce((sum, { bucket }) => sum + bucket.batch * bucket.tokens, 0);
  return {
    ...plan,
    rows: plan.rows.map(row => ({ ...row, targets: 1 })),
    buckets: [...doubled.values()],
    paddingShare: 1 - used / slots,
    epoch,
  };
}

export interface PairSourceParams {
  readonly plan: BatchPlan;
  readonly pairs: readonly Pair[];
  readonly padId: number;
  readonly baseNlls?: BaseNlls;
}

/**
 * Feeds: `ids` int32 [batch, tokens]; `targetPositions`, `targetIds`, `targetRows` int32 [targets], the row of each; `targetPresence`
 * [targets], 0 in slots that only fill the shape; `baseNll` [targets]; `pairWeights` [batch / 2], 1 over the pairs of the update, or 0.
 */
export function pairSource({ plan, pairs, padId, baseNlls = () => undefined }: PairSourceParams): BatchSource<PairBatch> {
  const sequences = sidesOf(pairs);
  const tokens = tokenSource({ plan, sequences, padId, packed: false });
  return {
    plan,
    async fill(planned) {
      const sampleIndices = planned.rows.flatMap(row => row.sequences);
      const rows = await tokens.fill({ ...planned, rows: sampleIndices.flatMap(pair => sideRows(sequences, pair)) });
      const baseNll = baseNllOf(rows, baseNlls);
      const targetRows = rows.targetPositions.map(position => Math.floor(position / planned.bucket.tokens));
      return {
        bucket: planned.bucket,
        sampleIndices,
        tokenCount: rows.tokenCount,
        targetCount: sampleIndices.length,
        segments: rows.segments,
        rows,
        baseNll,
        feeds: of => pairFeeds(rows, { targetRows, baseNll, pairs: sampleIndices.length, of }),
      };
    },
  };
}

function sideRows(sequences: readonly TokenSequence[], pair: number): Row[] {
  return Array.from({ length: PAIR_ROWS }, (_, side) => {
    const index = PAIR_ROWS * pair + side;
    const sequence = sequences[index];
    if (sequence === undefined) throw new RangeError(`no pair ${pair} among ${sequences.length / PAIR_ROWS}`);
    return { sequences: [index], length: sequence.ids.length, targets: countTargets(sequence) };
  });
}

/** Targets of a sequence stand together, in their order. */
function baseNllOf({ targetSamples }: TokenBatch, baseNlls: BaseNlls): Float32Array {
  let [current, at] = [-1, 0];
  return Float32Array.from(targetSamples, sequence => {
    if (sequence !== current) [current, at] = [sequence, 0];
    return sequence < 0 ? 0 : (baseNlls(sequence)?.[at++] ?? 0);
  });
}

interface FeedParams {
  readonly targetRows: Int32Array;
  readonly baseNll: Float32Array;
  readonly pairs: number;
  readonly of: number;
}

function pairFeeds(rows: TokenBatch, { targetRows, baseNll, pairs, of }: FeedParams): Record<string, HostArray> {
  const { ids, targetPositions, targetIds, targetWeights, bucket } = rows;
  const pairWeights = new Float32Array(bucket.batch / PAIR_ROWS).fill(1 / of, 0, pairs);
  return { ids, targetPositions, targetIds, targetRows, targetPresence: targetWeights, baseNll, pairWeights };
}
