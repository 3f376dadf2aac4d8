/** Settings of the run: logging, evaluation, checkpoints and output. */
import { answerChecks, REWARD } from '../../../catalog/answer-checks.ts';
import { benchmarkCatalog } from '../../../catalog/benchmarks.ts';
import { choicesOf } from '../../../catalog/entries.ts';
import { trackerCatalog } from '../../../catalog/trackers.ts';
import type { Given } from '../setting.ts';
import { defaulted, derived, FAIR_SWEEP, OWN_FOLDER, optional } from '../setting.ts';
import { choice, filePath, flag, integer, listOf, mapOf, number, stepCount } from '../value-type.ts';

const steps = () => stepCount({ min: 1 });

const strategies = () =>
  choice({
    no: 'Never during training.',
    steps: 'After a number of updates.',
    epoch: 'At the end of each epoch.',
  });

/** The held-out metrics that compare checkpoints and runs. */
export const metricChoices = {
  loss: 'The mean loss, lower is better.',
  accuracy:
    'The share of correct labels, of pairs whose better answer has the higher reward, or of triplets whose positive is the nearer one; higher is better.',
  margin: 'The mean difference between the rewards of the better and the worse answer, higher is better.',
  f1: 'F1 of the second of two labels, the mean over more labels, or that of entities; higher is better.',
  precision: 'The share of predicted labels or entities that are right; higher is better.',
  recall: 'The share of actual labels or entities that are found; higher is better.',
  matthews: 'The Matthews correlation of labels, used for CoLA; higher is better.',
  pearson: 'The Pearson correlation of numbers, used for STS-B; higher is better.',
  spearman: 'The rank correlation of cosines with scores (embeddings), higher is better.',
  ndcg_at_10: 'How high the positives rank among all held-out texts (embeddings), higher is better.',
  mrr_at_10: 'The mean of 1 / rank of the first positive (embeddings), 0 from rank 11 on; higher is better.',
  recall_at_1: 'The share of positives that rank first (embeddings), higher is better.',
  recall_at_10: 'The share of positives among the first 10 (embeddings), higher is better.',
  teacher_divergence: 'The divergence from the teacher (distillation), lower is better.',
  ...choicesOf(answerChecks),
  [REWARD]: 'The mean reward of the answers by eval_generation.reward_model, higher is better.',
} as const;

const LOWER: ReadonlySet<unknown> = new Set<keyof typeof metricChoices>(['loss', 'teacher_divergence']);

/** True if a lower value of the metric is better. */
export const isLower = (metric: unknown): boolean => LOWER.has(metric);

const hasEvaluationData = (given: Given): boolean =>
  (Array.isArray(given['data.eval']) && given['data.eval'].length > 0) || (typeof given.val_size === 'number' && given.val_size > 0);

export const runSettings = {
  logging_steps: defaulted(steps(), 1, {
    doc: 'Updates between lines of metrics; a number below 1 is a share of all updates.',
  }),
  report_to: defaulted(
    listOf(choice({ none: 'Only the run folder.', ...choicesOf(trackerCatalog) }), 'a tracker or a list of trackers'),
    ['none'],
    {
      doc: 'Trackers that get the metrics in addition to metrics.jsonl. One that fails is reported and left behind; it does not stop the run.',
    },
  ),
  eval_strategy: derived(strategies(), "'epoch' with held-out data, otherwise 'no'", given => (hasEvaluationData(given) ? 'epoch' : 'no'), {
    fixedInSweep: FAIR_SWEEP,
    doc: 'When the held-out data is evaluated.',
  }),
  eval_steps: defaulted(steps(), 100, {
    fixedInSweep: FAIR_SWEEP,
    doc: "Updates between evaluations, with eval_strategy 'steps'; a number below 1 is a share of all updates.",
  }),
  benchmarks: defaulted(
    mapOf(benchmarkCatalog, filePath(), 'a map from benchmarks to files'),
    {},
    {
      fixedInSweep: FAIR_SWEEP,
      doc: 'Multiple-choice benchmarks, each with its file (json, jsonl or parquet), scored as in lm-evaluation-harness. `rowtune evaluate` answers them, and so do the evaluations of a training with eval_benchmarks.',
    },
  ),
  eval_benchmarks: defaulted(flag(), false, {
    fixedInSweep: FAIR_SWEEP,
    doc: 'Every evaluation of a training also answers the benchmarks. Their accuracies are among its metrics, for example eval_arc_easy.',
  }),
  benchmark_max_samples: optional(integer({ min: 1, max: 1_000_000_000 }), {
    fixedInSweep: FAIR_SWEEP,
    doc: 'Maximum number of questions per benchmark.',
  }),
  eval_forgetting: defaulted(flag(), false, {
    doc: 'At the end of training, also measure how far a language model has moved from its base on a small sample of general text: the loss of both, and the divergence of their predictions. Takes two passes over some 1,500 tokens. `rowtune evaluate RUN eval_forgetting=true` measures it later.',
  }),
  save_strategy: derived(
    strategies(),
    "the value of eval_strategy, but 'epoch' instead of 'no'",
    given => (given.eval_strategy === 'steps' ? 'steps' : 'epoch'),
    { doc: 'When checkpoints are saved; one is always saved at the end.' },
  ),
  save_steps: derived(steps(), 'the value of eval_steps', given => Number(given.eval_steps), {
    doc: "Updates between checkpoints, with save_strategy 'steps'; a number below 1 is a share of all updates.",
  }),
  save_total_limit: defaulted(integer({ min: 1, max: 1_000_000 }), 2, {
    doc: 'Maximum number of checkpoints; the oldest is deleted first.',
  }),
  load_best_model_at_end: defaulted(flag(), false, {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The result of the run is the checkpoint with the best evaluation.',
  }),
  metric_for_best_model: defaulted(choice(metricChoices), 'loss', {
    fixedInSweep: FAIR_SWEEP,
    doc: 'The evaluation metric that selects the best checkpoint.',
  }),
  early_stopping_patience: optional(integer({ min: 1, max: 1_000_000 }), {
    doc: 'Ends the run after this many evaluations in a row without improvement of metric_for_best_model.',
  }),
  early_stopping_threshold: defaulted(number({ min: 0 }), 0, {
    doc: 'The minimum improvement that counts for early_stopping_patience.',
  }),
  output_dir: optional(filePath(), {
    fixedInSweep: OWN_FOLDER,
    doc: 'The folder of the run; by default a folder under runs/ named after the recipe.',
  }),
  overwrite_output_dir: defaulted(flag(), false, {
    fixedInSweep: OWN_FOLDER,
    doc: 'Allows a run to replace an earlier run in output_dir.',
  }),
};
