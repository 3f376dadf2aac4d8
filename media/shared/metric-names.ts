/** The metrics of held-out data that judge a run, and their order. */
import { hasLabel } from '../../trainer/protocol/text/metric-text.ts';
import type { EvaluationView } from '../../trainer/protocol/view/run.ts';

/** Metrics that do not rate the model: times, and the loss, which is shown separately. */
const NO_QUALITY = new Set(['eval_loss', 'eval_runtime', 'eval_samples_per_second']);

/** The order of held-out metrics; those not listed come between accuracy and token accuracy. */
const RANKS: Readonly<Record<string, number>> = {
  eval_ndcg_at_10: -3,
  eval_margin: -2,
  eval_accuracy: -1,
  eval_token_accuracy: 1,
  eval_perplexity: 2,
};

/** The training metric that corresponds to a held-out metric: eval_margin → margin. */
export const inTraining = (name: string): string => name.replace(/^eval_/, '');

/**
 * Returns the metrics that judge a run on held-out data, best first; the loss is shown with the training loss. A training metric implies
 * the held-out metric of the same name.
 */
export function evaluationNames(names: readonly string[]): string[] {
  const rank = (name: string): number => RANKS[name] ?? 0;
  const ofTraining = names.filter(name => !name.startsWith('eval_') && !hasLabel(name)).map(name => `eval_${name}`);
  const ofHeldOut = names.filter(name => name.startsWith('eval_') && !NO_QUALITY.has(name));
  return [...new Set([...ofHeldOut, ...ofTraining])].sort((a, b) => rank(a) - rank(b));
}

/** True for metrics where lower is better; for all others, higher is better. */
export const isBetterLow = (name: string): boolean => /loss|perplexity|seconds|bytes|error|memory|_(kl|nll)$/.test(name);

/** The value of a metric in an evaluation. */
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
