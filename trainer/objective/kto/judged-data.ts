/** The judged answers of a run: loads their files, makes batches, and warns about unbalanced counts. */
import { answerSource, type BaseNlls, type FurtherFeeds, planAnswers } from '../../data/batch/answer-batches.ts';
import type { BatchPlan, BatchSettings } from '../../data/batch/batch-plan.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { fixedBatches, planFixed, withMismatched } from '../../data/batch/judged-batches.ts';
import { judgedExample, loadJudged } from '../../data/load/load-judged.ts';
import type { JudgedAnswer, TokenSequence } from '../../data/types.ts';
import { elementAt } from '../../narrow.ts';
import { describeImbalance } from '../../protocol/checks/judgment-balance.ts';
import { RunError } from '../../run-error.ts';
import type { DataParts } from '../data-parts.ts';
import { type AnswerDataParams, loadAnswerData } from '../preference/pair-data.ts';
import { hasReferencePoint } from './kto-loss.ts';

/** @throws RunError 'no-data', or if a set has a single sample and the loss compares it with another; DataError for malformed data */
export async function loadJudgedData(params: AnswerDataParams, part: 'train' | 'held'): Promise<DataParts<JudgedAnswer>> {
  const { recipe, job } = params;
  const data = await loadAnswerData(params, part, {
    noun: 'answer',
    shown: 'what is judged',
    load: loadJudged,
    examplesOf: judgedExample,
  });
  const lone = data.train.length === 1 ? 'training' : data.held.length === 1 ? 'held-out' : undefined;
  if (hasReferencePoint(recipe.preference) && lone !== undefined)
    throw new RunError(
      'no-data',
      `the ${lone} data has a single answer, and the loss compares each with the answer of another sample`,
      `Add samples${lone === 'held-out' && recipe.data.eval.length === 0 ? ', set val_size: 2' : ''}, or set preference.loss_type: apo_zero_unpaired`,
    );
  const desirable = data.train.filter(({ isGood }) => isGood).length;
  const imbalance =
    data.train.length > 0 ? describeImbalance({ desirable, undesirable: data.train.length - desirable }, recipe.preference) : undefined;
  if (imbalance) job.log('warning', `${imbalance.problem}. ${imbalance.advice}`);
  return data;
}

/** The rows of each sample: its answer and, with a reference point, another sample's answer to its prompt. */
export type JudgedRows = readonly (readonly TokenSequence[])[];

export interface JudgedBatches {
  readonly samples: JudgedRows;
  readonly plan: BatchPlan;
}

/** The batches of training, or the parts of them that the settings specify. @param pairsUp see `hasReferencePoint` */
export function trainingBatches(data: readonly JudgedAnswer[], settings: BatchSettings, pairsUp: boolean): JudgedBatches {
  const answers = data.map(({ sequence }) => sequence);
  if (!pairsUp)
    return ofRows(
      answers.map(answer => [answer]),
      settings,
    );
  const batches = fixedBatches(answers, settings);
  const samples = withMismatched(answers, batches, settings.maxLength);
  return { samples, plan: planFixed(samples, batches, settings) };
}

/** The batches of an evaluation. Its mismatched answers do not depend on the batches. */
export function evaluationBatches(data: readonly JudgedAnswer[], settings: BatchSettings, pairsUp: boolean): JudgedBatches {
  const answers = data.map(({ sequence }) => sequence);
  const all = answers.map((_, sample) => sample);
  return ofRows(pairsUp ? withMismatched(answers, [all], settings.maxLength) : answers.map(answer => [answer]), settings);
}

export const ofRows = (samples: JudgedRows, settings: BatchSettings): JudgedBatches => ({ samples, plan: planAnswers(samples, settings) });

export interface JudgedSourceParams extends JudgedBatches {
  readonly isGood: (sample: number) => boolean;
  readonly padId: number;
  readonly baseNlls?: BaseNlls | undefined;
  readonly further?: FurtherFeeds | undefined;
}

/** Feeds: those of `answerSource`; `judgments` [batch / rows per sample]: 1 for a good answer, −1 for a bad one, 0 for padding. */
export function judgedSource({ samples, plan, isGood, padId, baseNlls, further }: JudgedSourceParams) {
  const rowsPerSample = elementAt(samples, 0).length;
  const source = answerSource({ plan, sequences: samples.flat(), rowsPerSample, padId, baseNlls, further });
  return {
    plan,
    async fill(planned) {
      const batch = await source.fill(planned);
      const judgments = new Float32Array(planned.bucket.batch / rowsPerSample);
      for (const [i, sample] of batch.sampleIndices.entries()) judgments[i] = isGood(sample) ? 1 : -1;
      return { ...batch, feeds: of => ({ ...batch.feeds(of), judgments }) };
    },
  } satisfies BatchSource;
}
