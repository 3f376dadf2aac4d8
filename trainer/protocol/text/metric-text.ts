/** Labels and number formats of metrics by their names in metrics.jsonl, for pages and tables of the command line. */
import { benchmarkNames } from '../../catalog/benchmarks.ts';
import { byteSize, compact, duration, grouped, percent } from './format.ts';

const LABELS: Readonly<Record<string, string>> = {
  loss: 'Loss',
  eval_loss: 'Held-out loss',
  eval_accuracy: 'Held-out accuracy',
  eval_token_accuracy: 'Held-out token accuracy',
  eval_perplexity: 'Held-out perplexity',
  eval_f1: 'Held-out F1',
  eval_macro_f1: 'Held-out mean F1 of the labels',
  eval_best_threshold: 'Held-out best threshold',
  eval_f1_at_best_threshold: 'Held-out F1 at the best threshold',
  eval_precision: 'Held-out precision',
  eval_recall: 'Held-out recall',
  eval_matthews: 'Held-out Matthews correlation',
  eval_pearson: 'Held-out Pearson correlation',
  eval_spearman: 'Held-out rank correlation',
  eval_ndcg_at_10: 'Held-out nDCG of the first 10',
  eval_map: 'Held-out mean average precision',
  eval_mrr_at_10: 'Held-out mean reciprocal rank of the first 10',
  eval_recall_at_1: 'Held-out recall of the first',
  eval_recall_at_5: 'Held-out recall of the first 5',
  eval_recall_at_10: 'Held-out recall of the first 10',
  eval_margin: 'Held-out margin between the rewards',
  eval_reward_chosen: 'Held-out reward of the better answer',
  eval_reward_rejected: 'Held-out reward of the worse answer',
  eval_logp_chosen: 'Held-out log-probability of the better answer',
  eval_logp_rejected: 'Held-out log-probability of the worse answer',
  eval_reward_desirable: 'Held-out reward of the good answers',
  eval_reward_undesirable: 'Held-out reward of the bad answers',
  eval_logp_desirable: 'Held-out log-probability of the good answers',
  eval_logp_undesirable: 'Held-out log-probability of the bad answers',
  eval_class_accuracy_min: 'Held-out accuracy of the worst label',
  eval_class_accuracy_q1: 'Held-out accuracy of labels, lower quartile',
  eval_class_accuracy_median: 'Held-out accuracy of labels, median',
  eval_class_accuracy_q3: 'Held-out accuracy of labels, upper quartile',
  eval_class_accuracy_max: 'Held-out accuracy of the best label',
  eval_kl: 'Held-out divergence from the base model',
  eval_nll: 'Held-out next-token loss',
  eval_teacher_divergence: 'Held-out divergence from the teacher',
  eval_exact_match: 'Held-out exact answers',
  eval_rouge_l: 'Held-out ROUGE-L',
  eval_json: 'Held-out answers in JSON',
  eval_pattern: 'Held-out answers that match the pattern',
  eval_reward: 'Held-out reward of the answers',
  eval_reward_gain: 'Held-out reward above that of the original answers',
  eval_reward_win_rate: 'Held-out share of answers with a higher reward than the original',
  teacher_divergence: 'Divergence from the teacher',
  learning_rate: 'Learning rate',
  grad_norm: 'Gradient norm',
  tokens_per_second: 'Tokens or images per second',
  seconds: 'Seconds per update',
  train_seconds: 'Training time',
  memory_peak_bytes: 'Memory, peak',
  memory_resident_bytes: 'Memory, resident',
  gpu_memory_bytes: 'GPU memory, in use',
  gpu_memory_peak_bytes: 'GPU memory, peak',
  eval_runtime: 'Evaluation time',
  eval_samples_per_second: 'Evaluation samples per second',
  epoch: 'Epoch',
  step: 'Step',
};

/** True if a metric has a label of its own. */
export const hasLabel = (name: string): boolean => Object.hasOwn(LABELS, name);

/** Prefix of the names of the quartiles of per-class accuracy. */
export const BY_CLASS = 'class_accuracy_';
/** True if a measure is one of these quartiles. */
export const isByClass = (measure: string): boolean => measure.startsWith(BY_CLASS);
/** Minimum number of classes for quartiles; with fewer, the classes themselves say more. */
export const FEWEST_CLASSES = 5;

/** The label of a metric: eval_new_metric → "Held-out new metric". */
export const labelOf = (name: string): string => LABELS[name] ?? name.replace(/^eval_/, 'Held-out ').replaceAll('_', ' ');

/** The label of a held-out metric where the context says that it is held-out. */
export const shortLabelOf = (name: string): string => labelOf(name).replace(/^Held-out /, '');

const accuracies: ReadonlySet<string> = new Set(benchmarkNames.map(name => `eval_${name}`));

/** True for shares of right answers, which are shown in percent: accuracies, also of labels and of benchmarks. */
export const isAccuracy = (name: string): boolean =>
  name.endsWith('accuracy') || name.startsWith(`eval_${BY_CLASS}`) || accuracies.has(name);

/** Returns a function that formats values of this metric. */
export function formatOf(name: string): (value: number) => string {
  if (name.endsWith('_bytes')) return byteSize;
  if (isAccuracy(name)) return value => percent(value);
  if (name === 'tokens_per_second') return value => (value < 1000 ? compact(value) : grouped(Math.round(value)));
  if (name === 'train_seconds' || name === 'eval_runtime') return duration;
  return compact;
}
