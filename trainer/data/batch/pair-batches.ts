/** The batches of pairs: both answers of each, the better one in an even row and the worse one in the row below it. */

import type { Pair, TokenSequence } from '../types.ts';
import { type AnswerBatch, answerSource, type BaseNlls, planAnswers } from './answer-batches.ts';
import type { BatchPlan, BatchSettings } from './batch-plan.ts';
import type { Batch, BatchSource } from './batches.ts';

/** Both answers. */
export const PAIR_ROWS = 2;

export interface PairBatch extends AnswerBatch {
  /** Targets in rows of better answers. */
  readonly chosenTargets: number;
}

/** The sequences of pairs, the better answers at even places. */
export const sidesOf = (pairs: readonly Pair[]): TokenSequence[] => pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);

/** The pairs with the prompt of the better answer among its targets. */
export const withPromptTargets = (pairs: readonly Pair[]): Pair[] =>
  pairs.map(pair => ({ ...pair, chosen: { ...pair.chosen, train: pair.chosen.train.map((_, i) => Number(i > 0)) } }));

/** A plan whose samples are pairs and whose batches have two rows for each. */
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
  /** The prompt of the better answer is among its targets, in the plan too. */
  readonly learnsChosen?: boolean;
}

/** Feeds: those of `answerSource`; with `learnsChosen` `chosenWeights` [targets], 1 over the targets of better answers of the update in their rows. */
export function pairSource({ plan, pairs, padId, baseNlls, learnsChosen }: PairSourceParams): BatchSource<PairBatch> {
  const answers = sidesOf(pairs);
  const sequences = learnsChosen ? sidesOf(withPromptTargets(pairs)) : answers;
  const source = answerSource({ plan, sequences, answers, rowsPerSample: PAIR_ROWS, padId, baseNlls });
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
