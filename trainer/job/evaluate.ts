/** One evaluation: the loss and the task's metrics over held-out samples. */

import { z } from 'zod';
import type { Batch, BatchSource } from '../data/batch/batches.ts';
import type { Session } from '../engine/engine.ts';
import type { HostArray } from '../graph/types.ts';
import type { CausalModel, ClassifierModel } from '../model/model-spec.ts';
import { elementAt } from '../narrow.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { isLower } from '../protocol/recipe/settings/run-settings.ts';
import type { AnswerView } from '../protocol/view/run.ts';
import { runForEach } from '../train/run-on-each.ts';
import type { BatchShape } from '../train/task.ts';
import { evalSignature } from '../train/train-program.ts';
import type { JobScope } from './job-scope.ts';
import type { Ranks } from './ranks.ts';
import { type Sharing, sharedBatches } from './shared-batches.ts';

export interface LabelResult {
  /** Share of samples whose predicted label is correct. */
  readonly accuracy: number;
  /** Share of the most common label, which is the accuracy of always predicting it. */
  readonly majority: number;
  /** Number of samples by actual label, then by predicted label. */
  readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const count = z.number();

/** The schema of a stored or sent evaluation. JSON has no NaN, so an evaluation without a finite loss is invalid. */
const evaluationSchema = z.looseObject({ loss: count, samples: count, targets: count, seconds: count });

/** True if stored JSON is an evaluation. */
export const isEvaluation = (value: unknown): value is Evaluation => evaluationSchema.safeParse(value).success;

export interface Evaluation {
  /** Mean loss per target: NLL in nats, or the squared error of a regression. */
  readonly loss: number;
  /** Only for language models. */
  readonly perplexity?: number;
  /** Share of targets that are the most likely token; only for language models. */
  readonly tokenAccuracy?: number;
  readonly samples: number;
  readonly targets: number;
  readonly seconds: number;
  readonly labels?: LabelResult;
  /** Other metrics of the task, by name: f1, matthews, pearson … */
  readonly measures?: Readonly<Record<string, number>>;
  /** Some of the answers to held-out prompts, with `eval_generation`. */
  readonly answers?: readonly AnswerView[];
}

/** Accumulates the results of batches. */
export interface Tally {
  add(batch: Batch, outputs: Readonly<Record<string, HostArray>>): void;
  result(): Omit<Evaluation, 'seconds'>;
}

/** Held-out samples arranged for evaluation. */
export interface Evaluator {
  readonly source: BatchSource;
  readonly samples: number;
  /** Returns further inputs of the evaluation, in addition to the batch. */
  readonly extraFeeds: (batch: Batch) => Record<string, HostArray>;
  readonly startTally: () => Tally;
  /** Present if an evaluation also generates answers. */
  readonly answers?: AnswerWriter;
  /** Present if an evaluation also answers benchmarks. */
  readonly benchmarks?: BenchmarkReader;
}

/** Answers multiple-choice questions with additional signatures of the program. */
export interface BenchmarkReader {
  /** The shapes of its batches. */
  readonly shapes: readonly BatchShape[];
  /** Returns the accuracy of each benchmark by name; undefined if the job was stopped meanwhile. */
  readonly answer: (scope: Pick<EvaluateParams, 'session' | 'job' | keyof Sharing>) => Promise<Record<string, number> | undefined>;
}

/** Generates and checks answers to held-out prompts with additional decoding signatures of the program. */
export interface AnswerWriter {
  readonly model: CausalModel;
  /** Maximum number of tokens of a prompt with its answer in the cache of keys and values. */
  readonly tokens: number;
  /** Number of answers that are generated at the same time. */
  readonly slots: number;
  /** True if prompts have images. */
  readonly images?: boolean | undefined;
  /** The reward model that scores the answers, with its largest batch. */
  readonly judge?: { readonly model: ClassifierModel; readonly shape: BatchShape };
  /** Generates the answers; undefined if the job was stopped meanwhile. */
  readonly write: (scope: Omit<EvaluateParams, 'evaluator' | 'onAnswers'>) => Promise<AnswerResult | undefined>;
}

/** The result of an answer writer; `answers` are all answers, of which an evaluation shows some. */
export type AnswerResult = Required<Pick<Evaluation, 'measures' | 'answers'>>;

/** Number of answers to show, and the maximum length of each text: evaluations are stored in checkpoints and sent to pages. */
const SHOWN = { answers: 8, characters: 1000 };

export interface EvaluateParams extends Pick<JobScope, 'job'>, Sharing {
  readonly session: Session;
  readonly evaluator: Evaluator;
  /** Returns the answers of the original model, if it has answered and is not the model being evaluated. */
  readonly ofBase?: () => Promise<readonly AnswerView[]>;
  /** Receives all answers of a complete evaluation. */
  readonly onAnswers?: (answers: readonly AnswerView[]) => Promise<void>;
}

/**
 * Evaluates; undefined if the job was stopped meanwhile. With several processes or devices, each evaluates some of the batches; the result
 * equals that of one, up to the order in which devices sum losses.
 */
export async function evaluate(params: EvaluateParams): Promise<Evaluation | undefined> {
  const { ranks, evaluator, job } = params;
  const started = performance.now();
  const seconds = (): number => {
    const own = (performance.now() - started) / 1000;
    return ranks ? ranks.first(own) : own;
  };
  const tallied = await tallyBatches(params);
  const accuracies = tallied && evaluator.benchmarks ? await evaluator.benchmarks.answer(params) : {};
  if (!tallied || !accuracies) return undefined;
  const found = { ...tallied, ...(evaluator.benchmarks && { measures: { ...tallied.measures, ...accuracies } }) };
  if (!evaluator.answers) return { ...found, seconds: seconds() };
  const written = await evaluator.answers.write(params);
  if (!written || job.stop) return undefined;
  await params.onAnswers?.(written.answers);
  return {
    ...found,
    measures: { ...found.measures, ...written.measures },
    answers: written.answers.slice(0, SHOWN.answers).map(shortened),
    seconds: seconds(),
  };
}

const shortened = (view: AnswerView): AnswerView => ({
  ...view,
  prompt: view.prompt.slice(-SHOWN.characters),
  reference: view.reference.slice(0, SHOWN.characters),
  answer: view.answer.slice(0, SHOWN.characters),
});

/** Tallies the batches; each process tallies all of them in order, whichever process has computed them. */
async function tallyBatches({ session, evaluator, job, ranks, devices }: EvaluateParams): Promise<ReturnType<Tally['result']> | undefined> {
  const { source, extraFeeds } = evaluator;
  const tally = evaluator.startTally();
  const report = job.progress('evaluate', source.plan.batchesPerEpoch, 'batches');
  for await (const { batches, done } of sharedBatches(source, { ranks, devices })) {
    if (job.stop) return undefined;
    const feeds = batches.map(batch => ({ ...batch.feeds(1), ...extraFeeds(batch) }));
    const [first] = batches;
    const outputs = first ? await runForEach(session, evalSignature(first.bucket), { feeds, devices }) : [];
    const own = batches.map((batch, i): Computed => ({ batch, outputs: elementAt(outputs, i) }));
    for (const one of ranks ? ofAllRanks(ranks, own) : own) tally.add(one.batch, one.outputs);
    report(done);
  }
  return tally.result();
}

interface Computed {
  readonly batch: Batch;
  readonly outputs: Readonly<Record<string, HostArray>>;
}

/** The results of all processes, without the feeds, which are functions and cannot be sent. */
const ofAllRanks = (ranks: Ranks, own: readonly Computed[]): Computed[] =>
  ranks
    .all(own.map(one => ({ ...one, batch: { ...one.batch, feeds: undefined } })))
    .flat()
    .map(one => ({ ...one, batch: { ...one.batch, feeds: () => ({}) } }));

/** The metrics for a metrics line, named as in Hugging Face. */
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

/** The value that selects the best checkpoint; the loss if the evaluation lacks the metric. */
export function bestModelValue({ loss, labels, tokenAccuracy, measures }: Evaluation, metric: Recipe['metric_for_best_model']): number {
  const value =
    metric === 'loss' ? loss : metric === 'accuracy' ? (labels?.accuracy ?? tokenAccuracy ?? measures?.accuracy) : measures?.[metric];
  return value === undefined || isLower(metric) ? -(value ?? loss) : value;
}

/** The results for labels. @param counts numbers of samples, by actual and then by predicted label */
export function labelResult(names: readonly string[], counts: readonly (readonly number[])[]): LabelResult {
  const totals = counts.map(row => row.reduce((sum, count) => sum + count, 0));
  const judged = totals.reduce((sum, count) => sum + count, 0);
  const right = counts.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
  // Omit zeros: a thousand classes have a million pairs, most of which never occur.
  const confusion = Object.fromEntries(
    names.map((name, i) => [
      name,
      Object.fromEntries(names.flatMap((given, j) => (counts[i]?.[j] ? [[given, counts[i]?.[j] as number]] : []))),
    ]),
  );
  return { accuracy: right / judged, majority: Math.max(...totals) / judged, confusion };
}
