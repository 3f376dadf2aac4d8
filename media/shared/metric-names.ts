/** Labels of a run's metrics. */
import type { EvaluationView } from '../../trainer/protocol/view/run.ts';

const LABELS: Readonly<Record<string, string>> = {
  loss: 'Loss',
  eval_loss: 'Held-out loss',
  eval_accuracy: 'Held-out accuracy',
  eval_token_accuracy: 'Held-out token accuracy',
  eval_perplexity: 'Held-out perplexity',
  eval_f1: 'Held-out F1',
  eval_macro_f1: 'Held-out mean F1 of the labels',
  eval_best_threshold: 'Best held-out threshold',
  eval_f1_at_best_threshold: 'Held-out F1 at the best threshold',
  eval_precision: 'Held-out precision',
  eval_recall: 'Held-out recall',
  eval_matthews: 'Held-out Matthews correlation',
  eval_pearson: 'Held-out Pearson correlation',
  eval_spearman: 'Held-out rank correlation',
  eval_ndcg_at_10: 'Held-out nDCG of the first 10',
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
  tokens_per_second: 'Throughput',
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

/** eval_new_metric → "Held-out new metric". */
export const labelOf = (name: string): string => LABELS[name] ?? name.replace(/^eval_/, 'Held-out ').replaceAll('_', ' ');

/** The label of a held-out metric where its place says that it is one. */
export const shortLabelOf = (name: string): string => labelOf(name).replace(/^Held-out /, '');

/** The time of an evaluation says nothing about the model. */
const NO_QUALITY = new Set(['eval_loss', 'eval_runtime', 'eval_samples_per_second']);

/** The order of metrics of held-out data; the others stand between accuracy and token accuracy. */
const RANKS: Readonly<Record<string, number>> = {
  eval_ndcg_at_10: -3,
  eval_margin: -2,
  eval_accuracy: -1,
  eval_token_accuracy: 1,
  eval_perplexity: 2,
};

/** The training metric with the same meaning as one of held-out data: eval_margin → margin. */
export const inTraining = (name: string): string => name.replace(/^eval_/, '');

/**
 * The metrics that judge a run on held-out data, best first; the loss is shown with the training loss. A measure of the training samples
 * stands for the same one of held-out data.
 */
export function evaluationNames(names: readonly string[]): string[] {
  const rank = (name: string): number => RANKS[name] ?? 0;
  const ofTraining = names.filter(name => !name.startsWith('eval_') && !Object.hasOwn(LABELS, name)).map(name => `eval_${name}`);
  const ofHeldOut = names.filter(name => name.startsWith('eval_') && !NO_QUALITY.has(name));
  return [...new Set([...ofHeldOut, ...ofTraining])].sort((a, b) => rank(a) - rank(b));
}

/** Metrics for which lower is better; for others, higher is. */
export const isBetterLow = (name: string): boolean => /loss|perplexity|seconds|bytes|error|memory|_(kl|nll)$/.test(name);

/** Label of an evaluation value, named like a metric. */
export function measureOf(evaluation: EvaluationView, name: string): number | undefined {
  const { loss, perplexity, tokenAccuracy, labels, measures = {} } = evaluation;
  const own: Readonly<Record<string, number | undefined>> = {
    eval_loss: loss,
    eval_perplexity: perplexity,
    eval_token_accuracy: tokenAccuracy,
    eval_accuracy: labels?.accuracy,
  };
  return own[name] ?? measures[name.replace(/^eval_/, '')];
}
