/** Labels and number formats of a run's metrics. */
import { byteSize, compact, duration, grouped, percent } from '../../trainer/protocol/format.ts';
import type { EvaluationView } from '../../trainer/protocol/view/run.ts';

const LABELS: Readonly<Record<string, string>> = {
  loss: 'Loss',
  eval_loss: 'Held-out loss',
  eval_accuracy: 'Held-out accuracy',
  eval_token_accuracy: 'Held-out token accuracy',
  eval_perplexity: 'Held-out perplexity',
  eval_f1: 'Held-out F1',
  eval_matthews: 'Held-out Matthews correlation',
  eval_pearson: 'Held-out Pearson correlation',
  learning_rate: 'Learning rate',
  grad_norm: 'Gradient norm',
  tokens_per_second: 'Throughput',
  seconds: 'Seconds per update',
  memory_peak_bytes: 'Memory, peak',
  memory_resident_bytes: 'Memory, resident',
  eval_runtime: 'Evaluation time',
  eval_samples_per_second: 'Evaluation samples per second',
  epoch: 'Epoch',
  step: 'Step',
};

/** eval_new_metric → "Held-out new metric". */
export const labelOf = (name: string): string => LABELS[name] ?? name.replace(/^eval_/, 'Held-out ').replaceAll('_', ' ');

/** The label of a held-out metric where its place says that it is one. */
export const shortLabelOf = (name: string): string => labelOf(name).replace(/^Held-out /, '');

export function formatOf(name: string): (value: number) => string {
  if (name.endsWith('_bytes')) return byteSize;
  if (name.endsWith('accuracy')) return value => percent(value);
  if (name === 'tokens_per_second') return value => `${value < 1000 ? compact(value) : grouped(Math.round(value))}/s`;
  if (name === 'train_seconds' || name === 'eval_runtime') return duration;
  return compact;
}

/** The time of an evaluation says nothing about the model. */
const NO_QUALITY = new Set(['eval_loss', 'eval_runtime', 'eval_samples_per_second']);

/** The metrics that judge a run on held-out data, best first; the loss is shown with the training loss. */
export function evaluationNames(names: readonly string[]): string[] {
  const rank = (name: string): number => (name === 'eval_perplexity' ? 2 : name === 'eval_token_accuracy' ? 1 : 0);
  return names.filter(name => name.startsWith('eval_') && !NO_QUALITY.has(name)).sort((a, b) => rank(a) - rank(b));
}

/** Metrics for which lower is better; for others, higher is. */
export const isBetterLow = (name: string): boolean => /loss|perplexity|seconds|bytes|error|memory/.test(name);

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
