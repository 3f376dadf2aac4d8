/** Settings that do nothing beside others: a warning where one is written with a value that differs from its default. */
import type { Recipe } from '../recipe-schema.ts';
import { settings } from '../recipe-schema.ts';
import { loraMethods, rankMethods, rowMethods } from './method-kinds.ts';
import { measuresWithoutData } from './model-settings.ts';
import type { Rule, SettingPath } from './rule.ts';

interface Condition {
  readonly settings: readonly SettingPath[];
  /** When they are used, after "only". */
  readonly when: string;
  readonly reads: readonly SettingPath[];
  readonly isUsed: (recipe: Recipe) => boolean;
}

const conditions: readonly Condition[] = [
  {
    settings: ['lora_alpha'],
    when: 'with method: lora, dora, rosa or spsft+lora',
    reads: ['method'],
    isUsed: ({ method }) => loraMethods.has(method),
  },
  {
    settings: ['lora_dropout'],
    when: 'with method: lora, dora, rosa, vera or spsft+lora',
    reads: ['method'],
    isUsed: ({ method }) => rankMethods.has(method),
  },
  {
    settings: ['r'],
    when: 'with a method that has rows or a rank',
    reads: ['method'],
    isUsed: ({ method }) => rankMethods.has(method) || rowMethods.has(method),
  },
  { settings: ['dependencies'], when: 'with method: spsft', reads: ['method'], isUsed: ({ method }) => method === 'spsft' },
  { settings: ['sparse_ratio'], when: 'with method: rosa', reads: ['method'], isUsed: ({ method }) => method === 'rosa' },
  {
    settings: ['projection_prng_key', 'd_initial'],
    when: 'with method: vera',
    reads: ['method'],
    isUsed: ({ method }) => method === 'vera',
  },
  {
    settings: ['target_modules'],
    when: 'with a method other than head',
    reads: ['method'],
    isUsed: ({ method }) => method !== 'head',
  },
  {
    settings: ['ratio', 'importance.measure', 'importance.selection', 'importance.scores'],
    when: 'with method: spsft or spsft+lora',
    reads: ['method'],
    isUsed: ({ method }) => rowMethods.has(method),
  },
  {
    settings: ['importance.samples', 'importance.batch_size'],
    when: 'with a measure that looks at data, or method: rosa',
    reads: ['method', 'importance.measure'],
    isUsed: ({ method, importance }) => method === 'rosa' || (rowMethods.has(method) && !measuresWithoutData.has(importance.measure)),
  },
  {
    settings: ['importance.cache'],
    when: 'with a measure that looks at data',
    reads: ['method', 'importance.measure'],
    isUsed: ({ method, importance }) => rowMethods.has(method) && !measuresWithoutData.has(importance.measure),
  },
  {
    settings: ['importance.exact'],
    when: 'with importance.measure: taylor or taylor_squared',
    reads: ['method', 'importance.measure'],
    isUsed: ({ method, importance }) => rowMethods.has(method) && ['taylor', 'taylor_squared'].includes(importance.measure),
  },
  {
    settings: ['batch_norm'],
    when: 'with task: image_classification',
    reads: ['task'],
    isUsed: ({ task }) => task === 'image_classification',
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
    when: 'with load_best_model_at_end: true',
    reads: ['load_best_model_at_end'],
    isUsed: ({ load_best_model_at_end }) => load_best_model_at_end,
  },
];

export const ignoredRules: readonly Rule[] = conditions.flatMap(({ settings: paths, when, reads, isUsed }) =>
  paths.map(
    (path): Rule => ({
      code: 'ignored-key',
      severity: 'warning',
      doc: `'${path}' is used only ${when}.`,
      reads: [path, ...reads],
      check: (recipe, given) =>
        given(path) && !isUsed(recipe) && !isDefault(recipe, path)
          ? { at: path, on: 'key', message: `'${path}' is used only ${when}`, suggestion: { kind: 'remove-key' } }
          : undefined,
    }),
  ),
);

/** A stored recipe has every setting written out; those at their default are no sign of a mistake. */
function isDefault(recipe: Recipe, path: SettingPath): boolean {
  const resolved: Record<string, unknown> = { ...recipe };
  for (const group of ['data', 'importance'] as const)
    for (const [name, value] of Object.entries(recipe[group])) resolved[`${group}.${name}`] = value;
  return JSON.stringify(settings[path]?.resolveDefault(resolved)) === JSON.stringify(resolved[path]);
}
