/** The batches of pairs: both answers of each, the better one in an even row and the worse one in the row below it. */

import type { HostArray } from '../../graph/types.ts';
import type { Pair, TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import { type BatchPlan, type BatchSettings, planBatches, type Row } from './batch-plan.ts';
import { type Batch, type BatchSource, type TokenBatch, tokenSource } from './batches.ts';
import { withRowsPerSample } from './rows-per-sample.ts';

/** Both answers. */
export const PAIR_ROWS = 2;

/** A batch of pairs. Its targets are those of the rows; `targetCount` counts pairs. */
export interface PairBatch extends Batch {
  readonly rows: Pick<TokenBatch, 'targetPositions' | 'targetSamples' | 'targetWeights' | 'targetCount'>;
  /** [targets] 1 for targets of an answer, 0 for those of a prompt and in slots that only fill the shape. */
  readonly presence: Float32Array;
  /** [targets] the NLL of each target under the base model; 0 where it is not known. */
  readonly baseNll: Float32Array;
  /** Targets in rows of better answers. */
  readonly chosenTargets: number;
}

/** The NLL of each target of a sequence under the base model, by the sequence's number: 2 · pair, and 2 · pair + 1 for the worse answer. */
export type BaseNlls = (sequence: number) => Float32Array | undefined;

/** The sequences of pairs, the better answers at even places. */
export const sidesOf = (pairs: readonly Pair[]): TokenSequence[] => pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);

/** The pairs with the prompt of the better answer among its targets. */
export const withPromptTargets = (pairs: readonly Pair[]): Pair[] =>
  pairs.map(pair => ({ ...pair, chosen: { ...pair.chosen, train: pair.chosen.train.map((_, i) => Number(i > 0)) } }));

/** A plan whose samples are pairs and whose batches have two rows for each. */
export function planPairs(pairs: readonly Pair[], settings: BatchSettings): BatchPlan {
  const sizes = pairs.map(({ chosen, rejected }) => ({
    length: Math.max(chosen.ids.length, rejected.ids.length),
    targets: countTargets(chosen) + countTargets(rejected),
  }));
  const plan = planBatches(sizes, settings);
  const used = pairs.reduce((sum, { chosen, rejected }) => sum + chosen.ids.length + rejected.ids.length, 0);
  return { ...withRowsPerSample(plan, PAIR_ROWS, used), rows: plan.rows.map(row => ({ ...row, targets: 1 })) };
}

export interface PairSourceParams {
  readonly plan: BatchPlan;
  readonly pairs: readonly Pair[];
  readonly padId: number;
  readonly baseNlls?: BaseNlls;
  /** The prompt of the better answer is among its targets, in the plan too. */
  readonly learnsChosen?: boolean;
}

/**
 * Feeds: `ids` int32 [batch, tokens]; `targetPositions`, `targetIds`, `targetRows` int32 [targets], the row of each; `targetPresence`
 * [targets], 1 for those of an answer; `baseNll` [targets]; `pairWeights` [batch / 2], 1 over the pairs of the update, or 0; with
 * `learnsChosen` `chosenWeights` [targets], 1 over the targets of better answers of the update in their rows.
 */
export function pairSource({ plan, pairs, padId, baseNlls = () => undefined, learnsChosen }: PairSourceParams): BatchSource<PairBatch> {
  const answers = sidesOf(pairs);
  const sequences = learnsChosen ? sidesOf(withPromptTargets(pairs)) : answers;
  const tokens = tokenSource({ plan, sequences, padId, packed: false });
  return {
    plan,
    async fill(planned) {
      const sampleIndices = planned.rows.flatMap(row => row.sequences);
      const rows = await tokens.fill({ ...planned, rows: sampleIndices.flatMap(pair => sideRows(sequences, pair)) });
      const baseNll = baseNllOf(rows, baseNlls);
      const { tokens: width } = planned.bucket;
      const targetRows = rows.targetPositions.map(position => Math.floor(position / width));
      const presence = rows.targetWeights.map((weight, i) => {
        const answer = answers[rows.targetSamples[i] as number];
        return weight * (answer?.train[((rows.targetPositions[i] as number) % width) + 1] ?? 0);
      });
      const isChosen = rows.targetWeights.map((weight, i) => weight * (1 - ((targetRows[i] as number) % PAIR_ROWS)));
      const chosenTargets = isChosen.reduce((sum, one) => sum + one, 0);
      const given = { targetRows, presence, baseNll, pairs: sampleIndices.length };
      return {
        bucket: planned.bucket,
        sampleIndices,
        tokenCount: rows.tokenCount,
        targetCount: sampleIndices.length,
        segments: rows.segments,
        rows,
        presence,
        baseNll,
        chosenTargets,
        feeds: (of, update) => {
          const feeds = pairFeeds(rows, { ...given, of });
          if (!learnsChosen) return feeds;
          // A batch by itself counts as its share of the pairs.
          const all = update ? chosenTargetsOf(update) : (chosenTargets * of) / sampleIndices.length;
          return { ...feeds, chosenWeights: isChosen.map(one => one / all) };
        },
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

export const isPairBatch = (batch: Batch): batch is PairBatch => 'chosenTargets' in batch;

const chosenTargetsOf = (update: readonly Batch[]): number =>
  update.reduce((sum, batch) => sum + (isPairBatch(batch) ? batch.chosenTargets : 0), 0);

interface FeedParams {
  readonly targetRows: Int32Array;
  readonly presence: Float32Array;
  readonly baseNll: Float32Array;
  readonly pairs: number;
  readonly of: number;
}

function pairFeeds(rows: TokenBatch, { targetRows, presence, baseNll, pairs, of }: FeedParams): Record<string, HostArray> {
  const { ids, targetPositions, targetIds, bucket } = rows;
  const pairWeights = new Float32Array(bucket.batch / PAIR_ROWS).fill(1 / of, 0, pairs);
  return { ids, targetPositions, targetIds, targetRows, targetPresence: presence, baseNll, pairWeights };
}
