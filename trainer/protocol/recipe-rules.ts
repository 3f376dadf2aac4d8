/** Rules between settings that need nothing but the recipe. To add one, add an entry; the parser runs them all. */
import { ignoredRules } from './recipe/ignored-rules.ts';
import { classWiseMeasures, measuresWithoutData, rowMethods } from './recipe/model-settings.ts';
import type { Rule } from './recipe/rule.ts';
import type { Recipe } from './recipe-schema.ts';

export type { Finding, Rule } from './recipe/rule.ts';

const hasEvaluationData = ({ data, val_size }: Recipe): boolean => data.eval.length > 0 || val_size > 0;
/** Scores are still to be computed, from data. */
const measuresData = ({ method, importance }: Recipe): boolean =>
  rowMethods.has(method) && !measuresWithoutData.has(importance.measure) && importance.scores === undefined;
const ofLabels: readonly Recipe['metric_for_best_model'][] = ['loss', 'accuracy', 'f1', 'matthews'];
/** What an evaluation of each task gives, of what can choose the best checkpoint. */
const bestMetrics: Readonly<Record<Recipe['task'], readonly Recipe['metric_for_best_model'][]>> = {
  causal_lm: ['loss', 'accuracy'],
  sequence_classification: ofLabels,
  sequence_regression: ['loss', 'pearson'],
  image_classification: ofLabels,
};
const labelled = new Set(['auto', 'text_label']);

export const recipeRules: readonly Rule[] = [
  {
    code: 'warmup-twice',
    severity: 'error',
    doc: 'Warm-up is given in updates or as a share, not as both.',
    reads: ['warmup_steps', 'warmup_ratio'],
    check: (_, given) =>
      given('warmup_steps') && given('warmup_ratio')
        ? {
            at: 'warmup_steps',
            on: 'key',
            message: "'warmup_steps' and 'warmup_ratio' exclude each other; keep one",
            suggestion: { kind: 'remove-key' },
          }
        : undefined,
  },
  {
    code: 'budget-twice',
    severity: 'error',
    doc: 'The budget of spsft is rows a layer or a ratio, not both.',
    reads: ['method', 'r', 'ratio'],
    check: ({ method }, given) =>
      method === 'spsft' && given('r') && given('ratio')
        ? { at: 'ratio', on: 'key', message: "'r' and 'ratio' exclude each other; keep one", suggestion: { kind: 'remove-key' } }
        : undefined,
  },
  {
    code: 'no-evaluation-data',
    severity: 'error',
    doc: 'Evaluation during training needs held-out data.',
    reads: ['eval_strategy', 'data.eval', 'val_size'],
    check: recipe =>
      recipe.eval_strategy !== 'no' && !hasEvaluationData(recipe)
        ? {
            at: 'eval_strategy',
            message: "evaluation is asked for, but there is no data for it: give 'data.eval' or 'val_size'",
            suggestion: { kind: 'replace-value', to: 'no' },
          }
        : undefined,
  },
  {
    code: 'metric-of-other-task',
    severity: 'error',
    doc: 'Numbers are judged by pearson or loss; labels by accuracy, f1, matthews or loss; language models by accuracy or loss.',
    reads: ['metric_for_best_model', 'task'],
    check: ({ metric_for_best_model: metric, task }) =>
      bestMetrics[task].includes(metric)
        ? undefined
        : {
            at: 'metric_for_best_model',
            message: `${task} is not judged by ${metric}, but by ${bestMetrics[task].join(', ')}`,
            suggestion: { kind: 'replace-value', to: 'loss' },
          },
  },
  {
    code: 'evaluation-data-twice',
    severity: 'warning',
    doc: 'Held-out data of its own makes val_size useless.',
    reads: ['data.eval', 'val_size'],
    check: ({ data, val_size }) =>
      data.eval.length > 0 && val_size > 0
        ? { at: 'val_size', on: 'key', message: "'val_size' is not used, since 'data.eval' is given", suggestion: { kind: 'remove-key' } }
        : undefined,
  },
  {
    code: 'val-size-no-count',
    severity: 'error',
    doc: 'val_size is a share below 1 or a whole number of samples.',
    reads: ['val_size'],
    check: ({ val_size }) =>
      val_size > 1 && !Number.isInteger(val_size)
        ? { at: 'val_size', message: `'val_size' is a share below 1 or a whole number of samples, not ${val_size}` }
        : undefined,
  },
  {
    code: 'best-model-without-evaluation',
    severity: 'error',
    doc: 'The best checkpoint is known only where checkpoints are evaluated.',
    reads: ['load_best_model_at_end', 'eval_strategy', 'data.eval', 'val_size'],
    check: ({ load_best_model_at_end, eval_strategy }) =>
      load_best_model_at_end && eval_strategy === 'no'
        ? {
            at: 'load_best_model_at_end',
            message: "the best model can't be told without evaluation: set 'eval_strategy' and held-out data",
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined,
  },
  {
    code: 'best-model-cadence',
    severity: 'error',
    doc: 'To end with the best model, checkpoints are saved when evaluations happen.',
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
    doc: 'To end with the best model, every checkpoint falls on an evaluation.',
    reads: ['load_best_model_at_end', 'eval_strategy', 'save_strategy', 'eval_steps', 'save_steps'],
    check: ({ load_best_model_at_end, eval_strategy, save_strategy, eval_steps, save_steps }) =>
      load_best_model_at_end && eval_strategy === 'steps' && save_strategy === 'steps' && save_steps % eval_steps !== 0
        ? {
            at: 'save_steps',
            message: `'load_best_model_at_end' needs 'save_steps' (${save_steps}) to be a multiple of 'eval_steps' (${eval_steps})`,
            suggestion: { kind: 'replace-value', to: String(Math.ceil(save_steps / eval_steps) * eval_steps) },
          }
        : undefined,
  },
  {
    code: 'large-evaluation-batch',
    severity: 'warning',
    doc: 'An evaluation batch above the train batch can run out of memory hours into a run.',
    reads: ['per_device_eval_batch_size', 'per_device_train_batch_size'],
    check: ({ per_device_eval_batch_size: evaluation, per_device_train_batch_size: train }) =>
      evaluation > train
        ? {
            at: 'per_device_eval_batch_size',
            message: `an evaluation batch of ${evaluation} above the train batch of ${train} may run out of memory at the first evaluation`,
          }
        : undefined,
  },
  {
    code: 'length-twice',
    severity: 'info',
    doc: 'max_steps decides the length of a run, whatever num_train_epochs says.',
    reads: ['max_steps', 'num_train_epochs'],
    check: ({ max_steps, num_train_epochs }, given) =>
      max_steps > 0 && given('num_train_epochs')
        ? {
            at: 'num_train_epochs',
            on: 'key',
            message: `'max_steps' (${max_steps}) decides when the run ends, not 'num_train_epochs' (${num_train_epochs})`,
          }
        : undefined,
  },
  {
    code: 'no-steps',
    severity: 'error',
    doc: 'A run has at least one update.',
    reads: ['max_steps'],
    check: ({ max_steps }) =>
      max_steps === 0
        ? {
            at: 'max_steps',
            message: "no update would be made; -1 leaves the length to 'num_train_epochs'",
            suggestion: { kind: 'replace-value', to: '-1' },
          }
        : undefined,
  },
  {
    code: 'warmup-covers-run',
    severity: 'warning',
    doc: 'A warm-up as long as the run never reaches the learning rate.',
    reads: ['warmup_steps', 'max_steps'],
    check: ({ warmup_steps = 0, max_steps }) =>
      max_steps > 0 && warmup_steps >= max_steps
        ? { at: 'warmup_steps', message: `the learning rate is never reached: ${warmup_steps} updates of warm-up in a run of ${max_steps}` }
        : undefined,
  },
  {
    code: 'floor-above-rate',
    severity: 'error',
    doc: 'The floor of a cosine schedule lies below the learning rate.',
    reads: ['min_learning_rate', 'learning_rate', 'lr_scheduler_type', 'method'],
    check: ({ min_learning_rate, learning_rate, lr_scheduler_type }) =>
      lr_scheduler_type === 'cosine' && min_learning_rate > learning_rate
        ? { at: 'min_learning_rate', message: `the floor (${min_learning_rate}) is above 'learning_rate' (${learning_rate})` }
        : undefined,
  },
  {
    code: 'high-learning-rate',
    severity: 'warning',
    doc: 'Adam diverges at a learning rate that suits only plain gradient descent.',
    reads: ['learning_rate', 'optim'],
    check: ({ learning_rate, optim }) =>
      learning_rate > 0.01 && optim !== 'sgd'
        ? { at: 'learning_rate', message: `${learning_rate} is very high for ${optim}; values from 1.0e-5 to 1.0e-3 are usual` }
        : undefined,
  },
  {
    code: 'no-training-data',
    severity: 'warning',
    doc: 'A recipe without data can be estimated, but not trained.',
    reads: ['method', 'data.train', 'importance.measure', 'importance.scores'],
    check: recipe =>
      recipe.data.train.length === 0 && !measuresData(recipe)
        ? { at: 'data.train', on: 'key', message: "there is no training data: give 'data.train' a path" }
        : undefined,
  },
  {
    code: 'measure-without-data',
    severity: 'error',
    doc: 'All measures but magnitude and random look at data, unless saved scores are used.',
    reads: ['method', 'importance.measure', 'importance.scores', 'data.train'],
    check: recipe =>
      recipe.data.train.length === 0 && measuresData(recipe)
        ? {
            at: 'importance.measure',
            message: `'${recipe.importance.measure}' needs 'data.train'; magnitude needs no data`,
            suggestion: { kind: 'replace-value', to: 'magnitude' },
          }
        : undefined,
  },
  {
    code: 'measure-without-labels',
    severity: 'error',
    doc: 'Class-wise measures compare the labels of the data.',
    reads: ['method', 'importance.measure', 'importance.scores', 'data.format', 'task'],
    check: recipe => {
      const { importance, data, task } = recipe;
      const hasLabels = task === 'causal_lm' ? labelled.has(data.format) : task !== 'sequence_regression';
      return measuresData(recipe) && classWiseMeasures.has(importance.measure) && !hasLabels
        ? {
            at: 'importance.measure',
            message: `'${importance.measure}' compares classes, so the samples need labels; taylor_row needs none`,
            suggestion: { kind: 'replace-value', to: 'taylor_row' },
          }
        : undefined;
    },
  },
  {
    code: 'packing-with-labels',
    severity: 'error',
    doc: 'Packing joins texts and is for language models; a sample with a label stays alone.',
    reads: ['packing', 'data.format', 'task'],
    check: ({ packing, data, task }) =>
      packing && (data.format === 'text_label' || task !== 'causal_lm')
        ? {
            at: 'packing',
            message: `samples of ${task === 'causal_lm' ? "format 'text_label'" : `task '${task}'`} can't be packed`,
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined,
  },
  {
    code: 'format-for-task',
    severity: 'error',
    doc: 'A classification task reads samples with a label.',
    reads: ['task', 'data.format'],
    check: ({ task, data }) => {
      if (task === 'sequence_classification' && !labelled.has(data.format)) {
        return {
          at: 'data.format',
          message: `task '${task}' needs samples with a label`,
          suggestion: { kind: 'replace-value', to: 'text_label' },
        };
      }
      return task === 'image_classification' && data.format !== 'auto'
        ? {
            at: 'data.format',
            message: `task '${task}' reads images, not '${data.format}'`,
            suggestion: { kind: 'replace-value', to: 'auto' },
          }
        : undefined;
    },
  },
  {
    code: 'prompt-without-text',
    severity: 'error',
    doc: 'A prompt template has a place for the text.',
    reads: ['data.prompt'],
    check: ({ data }) =>
      data.prompt.includes('{text}')
        ? undefined
        : { at: 'data.prompt', message: 'the template has no {text}, so every sample would read the same' },
  },
  {
    code: 'labels-repeat',
    severity: 'error',
    doc: 'Each label has one id.',
    reads: ['data.labels'],
    check: ({ data }) => {
      const seen = new Set<string>();
      const repeated = data.labels.find(label => seen.size === seen.add(label).size);
      return repeated === undefined ? undefined : { at: 'data.labels', on: 'key', message: `the label '${repeated}' is listed twice` };
    },
  },
  {
    code: 'column-twice',
    severity: 'warning',
    doc: 'Each column of the data plays one part.',
    reads: ['data.columns'],
    check: ({ data }) => {
      const names = Object.values(data.columns);
      const repeated = names.find((name, index) => names.indexOf(name) !== index);
      return repeated === undefined ? undefined : { at: 'data.columns', on: 'key', message: `the column '${repeated}' is used twice` };
    },
  },
  {
    code: 'quantised-base',
    severity: 'error',
    doc: 'A quantised base stays frozen.',
    reads: ['quantise', 'method', 'dependencies'],
    check: ({ quantise, method, dependencies }) => {
      if (quantise === 'none') return undefined;
      if (method === 'full' || method === 'rosa')
        return {
          at: 'quantise',
          message: `${method} trains ${method === 'full' ? 'every weight' : 'single elements of the weights'}, and a weight that is held as ${quantise} can't be trained; lora and spsft train beside it`,
          suggestion: { kind: 'replace-value', to: 'none' },
        };
      return method === 'spsft' && dependencies
        ? {
            at: 'dependencies',
            message: `the columns of a weight that is held as ${quantise} can't be trained`,
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined;
    },
  },
  {
    code: 'everything-frozen',
    severity: 'error',
    doc: 'Something is left to train.',
    reads: ['freeze'],
    check: ({ freeze }) =>
      new Set(freeze).size === 5
        ? { at: 'freeze', on: 'key', message: 'every part of the model is frozen, so nothing would be trained' }
        : undefined,
  },
  ...ignoredRules,
];
