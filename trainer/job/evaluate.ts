/** One evaluation: loss and what the task measures over held-out samples. */

import type { Batch, BatchSource } from '../data/batch/batches.ts';
import { epochBatches } from '../data/batch/batches.ts';
import type { Session } from '../engine/engine.ts';
import type { HostArray } from '../graph/types.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { evalSignature } from '../train/train-program.ts';
import type { Job } from './job.ts';

export interface LabelResult {
  /** Share of samples whose label is the one that the model gives. */
  readonly accuracy: number;
  /** Share of the commonest label: what always answering it would get. */
  readonly majority: number;
  /** True label → given label → samples. */
  readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface Evaluation {
  /** Mean loss of a target: NLL in nats, or the squared error of a regression. */
  readonly loss: number;
  /** Of language models. */
  readonly perplexity?: number;
  /** Share of targets that are the likeliest token; of language models. */
  readonly tokenAccuracy?: number;
  readonly samples: number;
  readonly targets: number;
  readonly seconds: number;
  readonly labels?: LabelResult;
  /** Other measures of the task, by name: f1, matthews, pearson … */
  readonly measures?: Readonly<Record<string, number>>;
}

/** Adds up what the batches give. */
export interface Tally {
  add(batch: Batch, outputs: Readonly<Record<string, HostArray>>): void;
  result(): Omit<Evaluation, 'seconds'>;
}

/** Held-out samples laid out for evaluation. */
export interface Evaluator {
  readonly source: BatchSource;
  readonly samples: number;
  /** What the evaluation is fed beside the batch itself. */
  readonly extraFeeds: (batch: Batch) => Record<string, HostArray>;
  readonly startTally: () => Tally;
}

export interface EvaluateParams {
  readonly session: Session;
  readonly evaluator: Evaluator;
  readonly job: Job;
}

/** Undefined where the job was stopped on the way. */
export async function evaluate({ session, evaluator, job }: EvaluateParams): Promise<Evaluation | undefined> {
  const { source, extraFeeds } = evaluator;
  const started = performance.now();
  const tally = evaluator.startTally();
  const report = job.progress('evaluate', source.plan.batchesPerEpoch, 'batches');
  let done = 0;
  for await (const batch of epochBatches(source, 0)) {
    if (job.stop) return undefined;
    tally.add(batch, await session.run(evalSignature(batch.bucket), { ...batch.feeds(1), ...extraFeeds(batch) }));
    report(++done);
  }
  return { ...tally.result(), seconds: (performance.now() - started) / 1000 };
}

/** By Hugging Face's names, for a line of metrics. */
export function evaluationMetrics(evaluation: Evaluation): Record<string, number> {
  const { loss, perplexity, tokenAccuracy, seconds, samples, labels, measures = {} } = evaluation;
  return {
    eval_loss: loss,
    ...(perplexity === undefined ? {} : { eval_perplexity: perplexity }),
    ...(tokenAccuracy === undefined ? {} : { eval_token_accuracy: tokenAccuracy }),
    ...(labels ? { eval_accuracy: labels.accuracy } : {}),
    ...Object.fromEntries(Object.entries(measures).map(([name, value]) => [`eval_${name}`, value])),
    eval_runtime: seconds,
    eval_samples_per_second: samples / seconds,
  };
}

/** What the best checkpoint has most of; the loss stands in where the evaluation does not give the metric. */
export function bestModelValue({ loss, labels, tokenAccuracy, measures }: Evaluation, metric: Recipe['metric_for_best_model']): number {
  const value = metric === 'loss' ? -loss : metric === 'accuracy' ? (labels?.accuracy ?? tokenAccuracy) : measures?.[metric];
  return value ?? -loss;
}

/** From the counts of each true label by given label. */
export function labelResult(names: readonly string[], counts: readonly (readonly number[])[]): LabelResult {
  const totals = counts.map(row => row.reduce((sum, count) => sum + count, 0));
  const judged = totals.reduce((sum, count) => sum + count, 0);
  const right = counts.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
  // Without zeros: a thousand classes have a million pairs, nearly all of which never occur.
  const confusion = Object.fromEntries(
    names.map((name, i) => [
      name,
      Object.fromEntries(names.flatMap((given, j) => (counts[i]?.[j] ? [[given, counts[i]?.[j] as number]] : []))),
    ]),
  );
  return { accuracy: right / judged, majority: Math.max(...totals) / judged, confusion };
}
