/** Batches of pairs: the better answer of a pair is in an even row, the worse one in the row below it. */

import type { Pair, TokenSequence } from '../types.ts';
import { type AnswerBatch, answerSource, type BaseNlls, type FurtherFeeds, planAnswers } from './answer-batches.ts';
import type { BatchPlan, BatchSettings } from './batch-plan.ts';
import type { Batch, BatchSource } from './batches.ts';

/** Rows per pair: both answers. */
export const PAIR_ROWS = 2;

export interface PairBatch extends AnswerBatch {
  /** Number of targets in the rows of better answers. */
  readonly chosenTargets: number;
}

/** The sequences of pairs, with the better answers at even indices. */
export const sidesOf = (pairs: readonly Pair[]): TokenSequence[] => pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);

/** The pairs with the prompt of the better answer among its targets. */
export const withPromptTargets = (pairs: readonly Pair[]): Pair[] =>
  pairs.map(pair => ({ ...pair, chosen: { ...pair.chosen, train: pair.chosen.train.map((_, i) => Number(i > 0)) } }));

/** A plan whose samples are pairs, with two rows per pair. */
export const planPairs = (pairs: readonly Pair[], settings: BatchSettings): BatchPlan =>
  planAnswers(
    pairs.map(({ chosen, rejected }) => [chosen, rejected]),
    settings,
  );

export interface PairSourceParams {
  readonly plan: BatchPlan;
  readonly pairs: readonly Pair[];
  readonly padId: number;
  readonly baseNlls?: BaseNlls | undefined;
  readonly further?: FurtherFeeds | undefined;
  /** Whether the prompt of the better answer is among its targets; the plan must count them too. */
  readonly learnsChosen?: boolean;
}

/**
 * Returns a source with the feeds of `answerSource`. With `learnsChosen`, also `chosenWeights` [targets]: 1 / the targets of better answers
 * of the update in the rows of better answers.
 */
export function pairSource({ plan, pairs, padId, baseNlls, further, learnsChosen }: PairSourceParams): BatchSource<PairBatch> {
  const answers = sidesOf(pairs);
  const sequences = learnsChosen ? sidesOf(withPromptTargets(pairs)) : answers;
  const source = answerSource({ plan, sequences, answers, rowsPerSample: PAIR_ROWS, padId, baseNlls, further });
  return {
    plan,
    async fill(planned) {
      const batch = await source.fill(planned);
      const { rows, targetRows, targetCount } = batch;
      const isChosen = rows.targetWeights.map((weight, i) => weight * (1 - ((targetRows[i] as number) % PAIR_ROWS)));
      const chosenTargets = isChosen.reduce((sum, one) => sum + one, 0);
      return {
        ...batch,
        chosenTargets,
        ...(learnsChosen && { furtherTargets: chosenTargets }),
        feeds: (of, all = (chosenTargets * of) / targetCount) => {
          const feeds = batch.feeds(of);
          if (!learnsChosen) return feeds;
          return { ...feeds, chosenWeights: isChosen.map(one => one / all) };
        },
      };
    },
  };
}

export const isPairBatch = (batch: Batch): batch is PairBatch => 'chosenTargets' in batch;
