/** Settings of the run: logging, evaluation, checkpoints, and where they go. */
import type { Given } from './setting.ts';
import { defaulted, derived, optional } from './setting.ts';
import { choice, filePath, flag, integer, mapOf, number, stepCount } from './value-type.ts';

/** By the names of lm-evaluation-harness. */
const choiceTasks = {
  arc_challenge: 'The harder questions of the AI2 reasoning challenge.',
  arc_easy: 'Its easier questions.',
  boolq: 'Yes or no questions about a passage.',
  hellaswag: 'How an everyday scene goes on.',
  openbookqa: 'Questions of elementary science.',
  rte: 'Whether one sentence follows from another.',
  winogrande: 'Which of two things a sentence refers to.',
  multiple_choice: 'Any other: keys question, choices (a list) and answer (a number from 0, or the text).',
} as const;

export type ChoiceTask = keyof typeof choiceTasks;

const steps = () => stepCount({ min: 1 });

const strategies = () =>
  choice({
    no: 'Never during training.',
    steps: 'Every so many updates.',
    epoch: 'At the end of each epoch.',
  });

const hasEvaluationData = (given: Given): boolean =>
  (Array.isArray(given['data.eval']) && given['data.eval'].length > 0) || (typeof given.val_size === 'number' && given.val_size > 0);

export const runSettings = {
  logging_steps: defaulted(steps(), 1, {
    doc: 'Updates from one line of metrics to the next; a number below 1 is a share of all updates.',
  }),
  eval_strategy: derived(strategies(), "'epoch' with held-out data, else 'no'", given => (hasEvaluationData(given) ? 'epoch' : 'no'), {
    doc: 'When the held-out data is evaluated.',
  }),
  eval_steps: defaulted(steps(), 100, {
    doc: "Updates from one evaluation to the next, with eval_strategy 'steps'; a number below 1 is a share of all updates.",
  }),
  benchmarks: defaulted(
    mapOf(choiceTasks, filePath(), 'a map from benchmarks to files'),
    {},
    {
      doc: 'Multiple-choice benchmarks that `rowtune evaluate` answers, each with its file (json, jsonl or parquet), scored as lm-evaluation-harness does.',
    },
  ),
  benchmark_max_samples: optional(integer({ min: 1, max: 1_000_000_000 }), {
    doc: 'Answers at most this many questions of each benchmark.',
  }),
  save_strategy: derived(
    strategies(),
    "that of eval_strategy, but 'epoch' for 'no'",
    given => (given.eval_strategy === 'steps' ? 'steps' : 'epoch'),
    { doc: 'When a checkpoint is saved; one is always saved at the end.' },
  ),
  save_steps: derived(steps(), 'that of eval_steps', given => Number(given.eval_steps), {
    doc: "Updates from one checkpoint to the next, with save_strategy 'steps'; a number below 1 is a share of all updates.",
  }),
  save_total_limit: defaulted(integer({ min: 1, max: 1_000_000 }), 2, { doc: 'How many checkpoints are kept; the oldest goes first.' }),
  load_best_model_at_end: defaulted(flag(), false, { doc: 'Ends with the checkpoint whose evaluation was best.' }),
  metric_for_best_model: defaulted(
    choice({
      loss: 'The mean loss, lower is better.',
      accuracy: 'The share of right labels, higher is better.',
      f1: 'F1, of two labels that of the second one, of more the mean over labels; higher is better.',
      matthews: 'The Matthews correlation of labels, as CoLA is judged by; higher is better.',
      pearson: 'The correlation of predicted numbers, as STS-B is judged by; higher is better.',
    }),
    'loss',
    { doc: 'The evaluation metric that decides which checkpoint is best.' },
  ),
  early_stopping_patience: optional(integer({ min: 1, max: 1_000_000 }), {
    doc: 'Ends the run after this many evaluations in a row without a better metric_for_best_model.',
  }),
  early_stopping_threshold: defaulted(number({ min: 0 }), 0, {
    doc: 'How much better than the best a metric must be to count for early_stopping_patience.',
  }),
  output_dir: optional(filePath(), { doc: 'The folder of the run; without it, a folder under runs/ named after the recipe.' }),
  overwrite_output_dir: defaulted(flag(), false, { doc: 'Permits a run to replace what is in output_dir.' }),
};
