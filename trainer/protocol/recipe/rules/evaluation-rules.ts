/** Rules about held-out data, evaluations and the best checkpoint. */
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import type { Recipe } from '../recipe-schema.ts';
import type { Rule } from './rule.ts';

const hasEvaluationData = ({ data, val_size }: Recipe): boolean => data.eval.length > 0 || val_size > 0;

/** True if the interval of saves is a multiple of that of evaluations, up to decimal rounding of shares; a count is never a multiple of a share. */
function isMultiple(save: number, evaluation: number): boolean {
  if (save < 1 !== evaluation < 1) return false;
  const times = save / evaluation;
  return Math.abs(times - Math.round(times)) < 1e-9;
}

export const evaluationRules: readonly Rule[] = [
  {
    code: 'no-evaluation-data',
    severity: 'error',
    doc: 'Evaluation during training needs held-out data.',
    reads: ['eval_strategy', 'data.eval', 'val_size'],
    check: recipe =>
      recipe.eval_strategy !== 'no' && !hasEvaluationData(recipe)
        ? {
            at: 'eval_strategy',
            message: "there is no held-out data to evaluate: set 'data.eval' or 'val_size'",
            suggestion: { kind: 'replace-value', to: 'no' },
          }
        : undefined,
  },
  {
    code: 'metric-of-other-task',
    severity: 'error',
    doc: 'The metric fits the task: pearson or loss for numbers; accuracy, f1, matthews or loss for labels; accuracy, margin or loss for preferences; ndcg_at_10, mrr_at_10, recall_at_1, recall_at_10, spearman, pearson, accuracy or loss for embeddings; accuracy or loss for language models.',
    reads: ['metric_for_best_model', 'task'],
    check: ({ metric_for_best_model: metric, task }) =>
      objectiveCatalog[task].metrics.includes(metric)
        ? undefined
        : {
            at: 'metric_for_best_model',
            message: `'${metric}' is not a metric of ${task}; use ${objectiveCatalog[task].metrics.join(', ')}`,
            suggestion: { kind: 'replace-value', to: 'loss' },
          },
  },
  {
    code: 'evaluation-data-twice',
    severity: 'warning',
    doc: 'val_size has no effect if data.eval is set.',
    reads: ['data.eval', 'val_size'],
    check: ({ data, val_size }) =>
      data.eval.length > 0 && val_size > 0
        ? { at: 'val_size', on: 'key', message: "'val_size' has no effect, because 'data.eval' is set", suggestion: { kind: 'remove-key' } }
        : undefined,
  },
  {
    code: 'val-size-no-count',
    severity: 'error',
    doc: 'val_size is a share below 1 or a whole number of samples.',
    reads: ['val_size'],
    check: ({ val_size }) =>
      val_size > 1 && !Number.isInteger(val_size)
        ? { at: 'val_size', message: `'val_size' must be a share below 1 or a whole number of samples, not ${val_size}` }
        : undefined,
  },
  {
    code: 'best-model-without-evaluation',
    severity: 'error',
    doc: 'The best checkpoint is only known if checkpoints are evaluated.',
    reads: ['load_best_model_at_end', 'eval_strategy', 'data.eval', 'val_size'],
    check: ({ load_best_model_at_end, eval_strategy }) =>
      load_best_model_at_end && eval_strategy === 'no'
        ? {
            at: 'load_best_model_at_end',
            message: "finding the best model needs evaluations: set 'eval_strategy' and held-out data",
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined,
  },
  {
    code: 'early-stopping-without-evaluation',
    severity: 'error',
    doc: 'Early stopping needs evaluations during training.',
    reads: ['early_stopping_patience', 'eval_strategy', 'data.eval', 'val_size'],
    check: ({ early_stopping_patience: patience, eval_strategy }) =>
      patience !== undefined && eval_strategy === 'no'
        ? {
            at: 'early_stopping_patience',
            on: 'key',
            message: "early stopping needs evaluations: set 'eval_strategy' and held-out data",
            suggestion: { kind: 'remove-key' },
          }
        : undefined,
  },
  {
    code: 'best-model-cadence',
    severity: 'error',
    doc: 'To end with the best model, checkpoints are saved together with evaluations.',
    reads: ['load_best_model_at_end', 'eval_strategy', 'save_strategy', 'data.eval', 'val_size'],
    check: ({ load_best_model_at_end, eval_strategy, save_strategy }) =>
      load_best_model_at_end && eval_strategy !== 'no' && save_strategy !== eval_strategy
        ? {
            at: 'save_strategy',
            message: `'load_best_model_at_end' needs 'save_strategy' (${save_strategy}) to be the same as 'eval_strategy' (${eval_strategy})`,
            suggestion: { kind: 'replace-value', to: eval_strategy },
          }
        : undefined,
  },
  {
    code: 'best-model-steps',
    severity: 'error',
    doc: 'To end with the best model, every checkpoint has an evaluation.',
    reads: ['load_best_model_at_end', 'eval_strategy', 'save_strategy', 'eval_steps', 'save_steps'],
    check: ({ load_best_model_at_end, eval_strategy, save_strategy, eval_steps, save_steps }) =>
      load_best_model_at_end && eval_strategy === 'steps' && save_strategy === 'steps' && !isMultiple(save_steps, eval_steps)
        ? {
            at: 'save_steps',
            message: `'load_best_model_at_end' needs 'save_steps' (${save_steps}) to be a multiple of 'eval_steps' (${eval_steps})`,
            suggestion: {
              kind: 'replace-value',
              to: String(save_steps < 1 === eval_steps < 1 ? Math.ceil(save_steps / eval_steps) * eval_steps : eval_steps),
            },
          }
        : undefined,
  },
  {
    code: 'large-evaluation-batch',
    severity: 'warning',
    doc: 'An evaluation batch larger than the training batch can run out of memory hours into a run.',
    reads: ['per_device_eval_batch_size', 'per_device_train_batch_size'],
    check: ({ per_device_eval_batch_size: evaluation, per_device_train_batch_size: train }) =>
      evaluation > train
        ? {
            at: 'per_device_eval_batch_size',
            message: `the evaluation batch (${evaluation}) is larger than the training batch (${train}), and may run out of memory at the first evaluation`,
          }
        : undefined,
  },
];
