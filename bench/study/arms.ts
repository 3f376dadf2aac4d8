/** The arms of the study: ways to tune a model, with equal numbers of trained parameters if the method has a budget. Pure. */
import { namesOf } from '../../trainer/catalog/entries.ts';
import type { ObjectiveEntry } from '../../trainer/catalog/objectives.ts';

/** Settings of a recipe by dotted name. */
export type Settings = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** LoRA's rank, and the number of rows per layer with the closest parameter count. */
export interface ArmBudget {
  readonly lora: number;
  readonly spsft: number;
}

/** Number of columns or coupled channels per layer with the parameter count closest to that of the rows. */
export interface UnitBudget {
  readonly columns: number;
  readonly coupled: number;
  /** Number of rows in one attention head: the budget of arms that train heads, or that many rows, of only queries, keys and values. */
  readonly heads?: number;
}

interface Arm {
  /** Arms of a family start their search for a learning rate at the same value. */
  readonly family: ArmFamily;
  readonly settings: (budget: ArmBudget & Partial<UnitBudget>) => Settings;
  /** Fixed learning rates by kind of model, for an arm that searches none. The arm does not exist for a kind without a rate. */
  readonly learningRates?: Readonly<Partial<Record<ObjectiveEntry['model'], number>>>;
  /** The unit that the arm trains instead of rows (columns, coupled channels or heads), which has its own budget. */
  readonly unit?: keyof UnitBudget;
  /** True for an arm of an earlier plan: its runs are shown, and no more are added. */
  readonly isPast?: true;
}

export type ArmFamily = 'rows' | 'product' | 'head' | 'biases' | 'whole';

const rows = (measure: string, more: Settings = {}): Arm => ({
  family: 'rows',
  settings: ({ spsft }) => ({ method: 'spsft', r: spsft, 'importance.measure': measure, ...more }),
});

const acrossLayers = (selection: string): Arm => ({
  family: 'rows',
  settings: ({ spsft }) => ({
    method: 'spsft',
    r: spsft,
    'importance.measure': 'taylor_row',
    'importance.selection': selection,
    'importance.min_rows': Math.max(1, Math.round(spsft / 4)),
  }),
});

/** An arm that trains another unit; tasks without a budget for it omit the arm. */
const units = (unit: keyof UnitBudget, measure: string): Arm => ({
  family: 'rows',
  unit,
  settings: budget => ({ method: 'spsft', trains: unit, r: budget[unit] ?? 0, 'importance.measure': measure }),
});

/** An arm that trains rows of only queries, keys and values. */
const inAttention = (more: Settings = {}): Arm => ({
  family: 'rows',
  unit: 'heads',
  settings: ({ heads = 0 }) => ({
    ...{ method: 'spsft', r: heads, target_modules: ['query', 'key', 'value'] },
    ...{ 'importance.measure': 'random', ...more },
  }),
});

/** An arm with lora_alpha = r, so that the scale is 1, or √r for rsLoRA. */
const product = (method: string, more: Settings = {}): Arm => ({
  family: 'product',
  settings: ({ lora }) => ({ method, r: lora, lora_alpha: lora, ...more }),
});

const plain = (method: string, family: ArmFamily): Arm => ({ family, settings: () => ({ method }) });

const always = (rate: number) => ({ causal: rate, classifier: rate });

const table = {
  'rows, random': rows('random'),
  'rows, magnitude': rows('magnitude'),
  'rows, wanda': rows('wanda'),
  'rows, activation': rows('activation'),
  'rows, taylor_row': rows('taylor_row'),
  // Uses the gradient of each batch; the exact mean takes several passes over the data.
  'rows, taylor': rows('taylor', { 'importance.exact': false }),
  'rows, taylor_squared': rows('taylor_squared', { 'importance.exact': false }),
  'rows, fisher': rows('fisher'),
  'rows, lift': rows('lift'),
  'rows, movement': rows('movement'),
  'rows, qm_taylor': rows('qm_taylor'),
  'rows, class_max_taylor': rows('class_max_taylor'),
  'rows, class_mean_taylor': rows('class_mean_taylor'),
  // Other distributions of the budget over layers, with at least a quarter of the rows for each.
  'taylor_row, global': acrossLayers('global'),
  'taylor_row, proportional': acrossLayers('proportional'),
  // The second choice uses scores of the partially tuned model.
  'taylor_row, chosen twice': rows('taylor_row', { 'importance.choose_again_after': 0.25 }),
  'columns, random': units('columns', 'random'),
  'columns, wanda': units('columns', 'wanda'),
  'columns, taylor_row': units('columns', 'taylor_row'),
  'channels, random': units('coupled', 'random'),
  'channels, wanda': units('coupled', 'wanda'),
  'channels, taylor_row': units('coupled', 'taylor_row'),
  'attention, random rows': inAttention(),
  'attention, random heads': inAttention({ 'importance.heads': true }),
  lora: product('lora'),
  rslora: product('lora', { use_rslora: true }),
  'lora+': product('lora', { loraplus_lr_ratio: 16 }),
  pissa: product('lora', { init_lora_weights: 'pissa' }),
  dora: product('dora'),
  // As many elements as the factors of that rank.
  shira: { family: 'rows', settings: ({ lora }) => ({ method: 'shira', r: lora }) },
  bitfit: plain('bitfit', 'biases'),
  head: plain('head', 'head'),
  full: plain('full', 'whole'),
  // The rates are literal because every row records the arm's name: different defaults are different arms.
  'rows by wanda, default rate': { ...rows('wanda'), learningRates: { causal: 1e-3, classifier: 3e-3 } },
  'random columns, default rate': { ...units('columns', 'random'), learningRates: { causal: 2e-3, classifier: 6e-3 } },
  'lora, default rate': { ...product('lora'), learningRates: { causal: 2e-4, classifier: 2e-3 } },
  // A candidate for the default of new heads; language models have their own.
  'rows by wanda, higher rate': { ...rows('wanda'), learningRates: { classifier: 5.6e-3 } },
  // Earlier defaults that this study changed.
  'wanda at 1e-3': { ...rows('wanda'), learningRates: always(1e-3), isPast: true },
  'lora at 1e-4': { ...product('lora'), learningRates: always(1e-4), isPast: true },
  'magnitude at 2e-5': { ...rows('magnitude'), learningRates: always(2e-5), isPast: true },
} as const satisfies Readonly<Record<string, Arm>>;

export type ArmName = keyof typeof table;

export const arms: Readonly<Record<ArmName, Arm>> = table;
export const armNames = namesOf(table);

/** The arms that are compared, each at the best rate of its own search. */
export const searchingArms: readonly ArmName[] = armNames.filter(name => arms[name].learningRates === undefined);
/** The arms at the default rates, current or before this study. */
export const defaultArms: readonly ArmName[] = armNames.filter(name => arms[name].learningRates !== undefined);

/** The arm that corresponds to SPSFT's defaults, by kind of model. */
export const defaultOfSpsft: Readonly<Record<ObjectiveEntry['model'], ArmName>> = {
  causal: 'random columns, default rate',
  classifier: 'rows by wanda, default rate',
};
export const DEFAULT_OF_LORA: ArmName = 'lora, default rate';

/** The arms with which all others are compared. */
export const RANDOM_ROWS: ArmName = 'rows, random';
export const LORA: ArmName = 'lora';
