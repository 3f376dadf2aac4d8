/** Warns about each setting that has no effect in combination with others and is not at its default. */

import { answerChecks } from '../../../catalog/answer-checks.ts';
import { namesWhere, orList } from '../../../catalog/entries.ts';
import { measureCatalog, measuresThat, needsData, needsWeightGradients } from '../../../catalog/measures.ts';
import { choosesByGradients, type MethodEntry, methodCatalog, methodsThat } from '../../../catalog/methods.ts';
import { type Comparison, type ObjectiveEntry, objectiveCatalog } from '../../../catalog/objectives.ts';
import { preferenceLosses } from '../../../catalog/preference-losses.ts';
import { givenBy, type Recipe, settings, settingValue } from '../recipe-schema.ts';
import { couplesLayers, hasDependencies, trainedUnit } from '../rows-budget.ts';
import { choosesTurns } from '../trained-roles.ts';
import { hasNegativesOfBatch } from './embedding-rules.ts';
import { patternChecks, writesAnswers } from './generation-rules.ts';
import type { Rule, SettingPath } from './rule.ts';

interface Condition {
  readonly settings: readonly SettingPath[];
  /** The condition under which the settings have an effect, phrased to follow "only". */
  readonly when: string;
  readonly reads: readonly SettingPath[];
  readonly isUsed: (recipe: Recipe) => boolean;
}

/** Settings that apply only to methods with a capability. */
const withMethods = (paths: readonly SettingPath[], has: (method: MethodEntry) => boolean): Condition => ({
  settings: paths,
  when: `with method: ${methodsThat(has)}`,
  reads: ['method'],
  isUsed: ({ method }) => has(methodCatalog[method]),
});

/** Settings that apply only to tasks that compare answers, with a capability. */
const withComparison = (paths: readonly SettingPath[], has: (comparison: Comparison) => boolean): Condition => {
  const uses = ({ compares }: ObjectiveEntry): boolean => compares !== undefined && has(compares);
  return {
    settings: paths,
    when: `with task: ${orList(namesWhere(objectiveCatalog, uses))}`,
    reads: ['task'],
    isUsed: ({ task }) => uses(objectiveCatalog[task]),
  };
};

/** Settings that apply only to some embedding losses. */
const withEmbedding = (names: readonly (keyof Recipe['embedding'])[], has: (embedding: Recipe['embedding']) => boolean): Condition => ({
  settings: names.map((name): SettingPath => `embedding.${name}`),
  when: `with task: ${orList(namesWhere(objectiveCatalog, ({ embeds }) => embeds === true))} and a loss that reads it`,
  reads: ['task', 'embedding.loss_type'],
  isUsed: ({ task, embedding }) => objectiveCatalog[task].embeds === true && has(embedding),
});

const choosesRows = ({ method }: Recipe): boolean => methodCatalog[method].chooses === 'rows';

const conditions: readonly Condition[] = [
  withMethods(['lora_alpha', 'use_rslora', 'loraplus_lr_ratio'], ({ lowRank }) => lowRank === 'factors'),
  withMethods(['init_lora_weights'], ({ startsInWeights }) => startsInWeights),
  withMethods(['lora_dropout'], ({ lowRank }) => lowRank !== 'none'),
  withMethods(['r'], ({ r }) => r !== undefined),
  withMethods(['trains'], ({ trainsColumns }) => trainsColumns),
  {
    settings: ['dependencies'],
    when: `with method: ${methodsThat(has => has.hasDependencies)} and trains: rows`,
    reads: ['method', 'trains'],
    isUsed: recipe => methodCatalog[recipe.method].hasDependencies && trainedUnit(recipe) === 'rows',
  },
  withMethods(['sparse_ratio'], ({ elements }) => elements?.counts === 'share'),
  withMethods(['projection_prng_key', 'd_initial'], ({ lowRank }) => lowRank === 'vectors'),
  withMethods(['target_modules'], ({ targets }) => targets !== 'none'),
  withMethods(['ratio', 'importance.measure', 'importance.selection', 'importance.scores'], ({ chooses }) => chooses === 'rows'),
  {
    settings: ['importance.selection'],
    when: 'without dependencies or trains: coupled, whose groups of layers have one budget each',
    reads: ['method', 'trains', 'dependencies'],
    isUsed: recipe => !couplesLayers(recipe),
  },
  {
    settings: ['importance.min_rows'],
    when: 'with importance.selection: global or proportional, and without dependencies or trains: coupled',
    reads: ['method', 'trains', 'importance.selection', 'dependencies'],
    isUsed: recipe => choosesRows(recipe) && recipe.importance.selection !== 'per_layer' && !couplesLayers(recipe),
  },
  {
    settings: ['importance.choose_again_after'],
    when: `with method: ${methodsThat(({ chooses }) => chooses === 'rows')}, and a measure that is not left to chance`,
    reads: ['method', 'importance.measure'],
    isUsed: recipe => choosesRows(recipe) && measureCatalog[recipe.importance.measure].needs !== 'nothing',
  },
  {
    settings: ['importance.heads'],
    when: `with method: ${methodsThat(({ chooses }) => chooses === 'rows')}, and without dependencies`,
    reads: ['method', 'trains', 'dependencies'],
    isUsed: recipe => choosesRows(recipe) && !hasDependencies(recipe),
  },
  {
    settings: ['importance.samples', 'importance.batch_size'],
    when: `with a measure that uses data, or method: ${methodsThat(choosesByGradients)}`,
    reads: ['method', 'importance.measure'],
    isUsed: recipe => choosesByGradients(methodCatalog[recipe.method]) || (choosesRows(recipe) && needsData(recipe.importance.measure)),
  },
  {
    settings: ['importance.cache'],
    when: 'with a measure that uses data',
    reads: ['method', 'importance.measure'],
    isUsed: recipe => choosesRows(recipe) && needsData(recipe.importance.measure),
  },
  {
    settings: ['importance.exact'],
    when: `with importance.measure: ${measuresThat(({ needs }) => needs === 'gradients')}`,
    reads: ['method', 'importance.measure'],
    isUsed: recipe => choosesRows(recipe) && needsWeightGradients(recipe.importance.measure),
  },
  {
    settings: ['batch_norm'],
    when: `with task: ${orList(namesWhere(objectiveCatalog, ({ reads }) => reads === 'images'))}`,
    reads: ['task'],
    isUsed: ({ task }) => objectiveCatalog[task].reads === 'images',
  },
  { settings: ['momentum'], when: 'with optim: sgd', reads: ['optim'], isUsed: ({ optim }) => optim === 'sgd' },
  {
    settings: ['adam_beta1', 'adam_beta2', 'adam_epsilon'],
    when: 'with optim: adamw, adam or their 8-bit forms',
    reads: ['optim'],
    isUsed: ({ optim }) => optim !== 'sgd',
  },
  {
    settings: ['optimizer_offload'],
    when: 'with an optimizer that holds state (any but sgd without momentum)',
    reads: ['optim', 'momentum'],
    isUsed: ({ optim, momentum }) => optim !== 'sgd' || momentum > 0,
  },
  {
    settings: ['min_learning_rate'],
    when: 'with lr_scheduler_type: cosine',
    reads: ['lr_scheduler_type'],
    isUsed: ({ lr_scheduler_type }) => lr_scheduler_type === 'cosine',
  },
  {
    settings: ['warmup_steps', 'warmup_ratio'],
    when: "with a schedule that warms up: 'constant' does not, 'constant_with_warmup' does",
    reads: ['lr_scheduler_type'],
    isUsed: ({ lr_scheduler_type }) => lr_scheduler_type !== 'constant',
  },
  {
    settings: ['decay_norms_and_biases'],
    when: 'with weight_decay above 0',
    reads: ['weight_decay'],
    isUsed: ({ weight_decay }) => weight_decay > 0,
  },
  {
    settings: ['label_smoothing_factor'],
    when: 'to labels and tokens',
    reads: ['task'],
    isUsed: ({ task }) => ['tokens', 'label', 'tags'].includes(objectiveCatalog[task].target),
  },
  {
    settings: ['class_weights'],
    when: 'to classifiers with labels',
    reads: ['task'],
    isUsed: ({ task }) =>
      ['label', 'labels', 'tags'].includes(objectiveCatalog[task].target) && objectiveCatalog[task].model === 'classifier',
  },
  withComparison(['preference.beta'], ({ beta }) => beta !== undefined),
  withComparison(['preference.center_rewards_coefficient'], ({ readsMargin }) => readsMargin === true),
  withComparison(['preference.gamma'], ({ hasTargetMargin }) => hasTargetMargin === true),
  withComparison(['preference.loss_type'], ({ hasLossTypes }) => hasLossTypes),
  withComparison(['preference.reference'], ({ usesReference }) => usesReference),
  withComparison(['preference.desirable_weight', 'preference.undesirable_weight'], ({ answers }) => answers === 'judged'),
  {
    settings: ['preference.label_smoothing'],
    when: 'with a logistic loss of pairs: simpo, or preference.loss_type: sigmoid, sigmoid_norm or robust',
    reads: ['task', 'preference.loss_type'],
    isUsed: ({ task, preference }) => {
      const { hasLossTypes, hasTargetMargin } = objectiveCatalog[task].compares ?? {};
      return hasTargetMargin === true || (hasLossTypes === true && preferenceLosses[preference.loss_type].readsSmoothing === true);
    },
  },
  withEmbedding(['loss_type', 'mini_batch_size', 'pooling', 'normalize', 'matryoshka_dims', 'query_prompt', 'document_prompt'], () => true),
  withEmbedding(['negatives', 'scale'], hasNegativesOfBatch),
  withEmbedding(['max_score'], ({ loss_type: type }) => type === 'cosine'),
  withEmbedding(['distance', 'margin'], ({ loss_type: type }) => type === 'triplet'),
  {
    settings: (['teacher', 'logits', 'eval_logits', 'top_k', 'temperature', 'alpha', 'beta', 'rest'] as const).map(
      (name): SettingPath => `distillation.${name}`,
    ),
    when: `with task: ${orList(namesWhere(objectiveCatalog, ({ hasTeacher }) => hasTeacher === true))}`,
    reads: ['task'],
    isUsed: ({ task }) => objectiveCatalog[task].hasTeacher === true,
  },
  {
    settings: ['distillation.teacher_revision'],
    when: 'with distillation.teacher',
    reads: ['task', 'distillation.teacher'],
    isUsed: ({ task, distillation }) => objectiveCatalog[task].hasTeacher === true && distillation.teacher !== undefined,
  },
  {
    settings: ['group_by_length'],
    when: 'to samples with a length, without packing',
    reads: ['task', 'packing', 'data.shuffle'],
    isUsed: ({ task, packing }) => objectiveCatalog[task].reads !== 'images' && !packing,
  },
  {
    settings: ['eval_benchmarks'],
    when: 'to language models, with benchmarks and held-out data',
    reads: ['task', 'benchmarks', 'data.eval', 'val_size'],
    isUsed: ({ task, benchmarks, data, val_size: validation }) =>
      objectiveCatalog[task].model === 'causal' && Object.keys(benchmarks).length > 0 && (data.eval.length > 0 || validation > 0),
  },
  {
    settings: ['eval_forgetting'],
    when: 'to language models',
    reads: ['task'],
    isUsed: ({ task }) => objectiveCatalog[task].model === 'causal',
  },
  {
    settings: ['data.trained_roles', 'data.trained_turns'],
    when: 'to next tokens, with data.completion_only',
    reads: ['task', 'data.completion_only'],
    isUsed: choosesTurns,
  },
  {
    settings: ['data.truncation', 'data.train_reasoning', 'data.train_end_of_turn'],
    when: 'to next tokens, and to answers that are compared',
    reads: ['task'],
    isUsed: ({ task }) => {
      const { compares, target } = objectiveCatalog[task];
      return compares !== undefined || target === 'tokens';
    },
  },
  {
    settings: ['eval_generation.checks', 'eval_generation.reward_model'],
    when: 'to language models',
    reads: ['task'],
    isUsed: ({ task }) => objectiveCatalog[task].model === 'causal',
  },
  {
    settings: ['eval_generation.max_samples', 'eval_generation.max_new_tokens'],
    when: 'with eval_generation.checks or eval_generation.reward_model',
    reads: ['task', 'eval_generation.checks', 'eval_generation.reward_model'],
    isUsed: writesAnswers,
  },
  {
    settings: ['eval_generation.pattern'],
    when: `with eval_generation.checks: ${patternChecks}`,
    reads: ['eval_generation.checks'],
    isUsed: ({ eval_generation: { checks } }) => checks.some(name => answerChecks[name].readsPattern),
  },
  {
    settings: ['eval_steps'],
    when: 'with eval_strategy: steps',
    reads: ['eval_strategy'],
    isUsed: ({ eval_strategy }) => eval_strategy === 'steps',
  },
  {
    settings: ['save_steps'],
    when: 'with save_strategy: steps',
    reads: ['save_strategy'],
    isUsed: ({ save_strategy }) => save_strategy === 'steps',
  },
  {
    settings: ['metric_for_best_model'],
    when: 'with load_best_model_at_end: true, early_stopping_patience or a sweep',
    reads: ['load_best_model_at_end', 'early_stopping_patience', 'sweep.over'],
    isUsed: ({ load_best_model_at_end, early_stopping_patience, sweep }) =>
      load_best_model_at_end || early_stopping_patience !== undefined || sweep.over !== undefined,
  },
  {
    settings: ['early_stopping_threshold'],
    when: 'with early_stopping_patience',
    reads: ['early_stopping_patience'],
    isUsed: ({ early_stopping_patience, sweep: { over = {} } }) =>
      early_stopping_patience !== undefined || Object.hasOwn(over, 'early_stopping_patience'),
  },
  {
    settings: ['sweep.reduction_factor', 'sweep.min_evaluations'],
    when: 'with strategy: halving',
    reads: ['sweep.over', 'sweep.strategy'],
    isUsed: ({ sweep: { over, strategy } }) => over === undefined || strategy === 'halving',
  },
  {
    settings: ['sweep.seed'],
    when: 'with strategy: random or halving',
    reads: ['sweep.over', 'sweep.strategy'],
    isUsed: ({ sweep: { over, strategy } }) => over === undefined || strategy !== 'grid',
  },
];

export const ignoredRules: readonly Rule[] = conditions.flatMap(({ settings: paths, when, reads, isUsed }) =>
  paths.map(
    (path): Rule => ({
      code: 'ignored-key',
      severity: 'warning',
      doc: `'${path}' applies only ${when}.`,
      reads: [path, ...reads],
      check: (recipe, given) =>
        given(path) && !isUsed(recipe) && !isDefault(recipe, path)
          ? { at: path, on: 'key', message: `'${path}' has no effect here; it applies only ${when}`, suggestion: { kind: 'remove-key' } }
          : undefined,
    }),
  ),
);

/** False for a setting that nothing reads in combination with the others, such as the measure of a method that chooses no rows. */
export const hasEffect = (recipe: Recipe, path: string): boolean =>
  conditions.every(({ settings: paths, isUsed }) => !paths.some(each => each === path) || isUsed(recipe));

/** True if a setting is at its default: a stored recipe contains every setting, so this is not a mistake. */
const isDefault = (recipe: Recipe, path: SettingPath): boolean =>
  JSON.stringify(settings[path]?.resolveDefault(givenBy(recipe))) === JSON.stringify(settingValue(recipe, path));
