/** The arms of the study: ways to tune a model, at equal trained parameters where the method has a budget. Pure. */
import { namesOf } from '../../trainer/catalog/entries.ts';
import type { ObjectiveEntry } from '../../trainer/catalog/objectives.ts';

/** Settings of a recipe by their dotted names. */
export type Settings = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** LoRA's rank, and the rows per layer whose parameters come nearest to it. */
export interface ArmBudget {
  readonly lora: number;
  readonly spsft: number;
}

/** Columns or coupled channels per layer whose parameters come nearest to those of the rows. */
export interface UnitBudget {
  readonly columns: number;
  readonly coupled: number;
  /** The rows of one head of attention: the budget of arms that train heads, or as many rows, of queries, keys and values alone. */
  readonly heads?: number;
}

interface Arm {
  /** Arms of a family start their search for a learning rate at the same place. */
  readonly family: ArmFamily;
  readonly settings: (budget: ArmBudget & Partial<UnitBudget>) => Settings;
  /** The rates of an arm that searches none, by the kind of model; a kind without one has not the arm. */
  readonly learningRates?: Readonly<Partial<Record<ObjectiveEntry['model'], number>>>;
  /** Trains columns, coupled channels or heads in place of rows, so that it has a budget of its own. */
  readonly unit?: keyof UnitBudget;
  /** An arm of an earlier plan: its runs are shown, and none is added. */
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

/** A task without a budget of this unit leaves the arm out. */
const units = (unit: keyof UnitBudget, measure: string): Arm => ({
  family: 'rows',
  unit,
  settings: budget => ({ method: 'spsft', trains: unit, r: budget[unit] ?? 0, 'importance.measure': measure }),
});

/** Rows of queries, keys and values alone. */
const inAttention = (more: Settings = {}): Arm => ({
  family: 'rows',
  unit: 'heads',
  settings: ({ heads = 0 }) => ({
    ...{ method: 'spsft', r: heads, target_modules: ['query', 'key', 'value'] },
    ...{ 'importance.measure': 'random', ...more },
  }),
});

/** lora_alpha = r, so that the scale is 1, and √r for rsLoRA. */
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
  // The gradient of each batch: the exact mean takes several passes over the data.
  'rows, taylor': rows('taylor', { 'importance.exact': false }),
  'rows, taylor_squared': rows('taylor_squared', { 'importance.exact': false }),
  'rows, fisher': rows('fisher'),
  'rows, lift': rows('lift'),
  'rows, movement': rows('movement'),
  'rows, qm_taylor': rows('qm_taylor'),
  'rows, class_max_taylor': rows('class_max_taylor'),
  'rows, class_mean_taylor': rows('class_mean_taylor'),
  // Other budgets of the layers, each with a quarter of the rows as its floor.
  'taylor_row, global': acrossLayers('global'),
  'taylor_row, proportional': acrossLayers('proportional'),
  // The second choice is by the scores of the model tuned so far.
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
  // As many elements as the factors of that rank have numbers.
  shira: { family: 'rows', settings: ({ lora }) => ({ method: 'shira', r: lora }) },
  bitfit: plain('bitfit', 'biases'),
  head: plain('head', 'head'),
  full: plain('full', 'whole'),
  // Written out, as the names are in every row: other defaults are other arms.
  'rows by wanda, default rate': { ...rows('wanda'), learningRates: { causal: 1e-3, classifier: 3e-3 } },
  'random columns, default rate': { ...units('columns', 'random'), learningRates: { causal: 2e-3, classifier: 6e-3 } },
  'lora, default rate': { ...product('lora'), learningRates: { causal: 2e-4, classifier: 2e-3 } },
  // A candidate for the default of new heads; language models have theirs.
  'rows by wanda, higher rate': { ...rows('wanda'), learningRates: { classifier: 5.6e-3 } },
  // Defaults that this study has changed.
  'wanda at 1e-3': { ...rows('wanda'), learningRates: always(1e-3), isPast: true },
  'lora at 1e-4': { ...product('lora'), learningRates: always(1e-4), isPast: true },
  'magnitude at 2e-5': { ...rows('magnitude'), learningRates: always(2e-5), isPast: true },
} as const satisfies Readonly<Record<string, Arm>>;

export type ArmName = keyof typeof table;

export const arms: Readonly<Record<ArmName, Arm>> = table;
export const armNames = namesOf(table);

/** The arms that are compared: each at the best rate of its own search. */
export const searchingArms: readonly ArmName[] = armNames.filter(name => arms[name].learningRates === undefined);
/** The arms at the rates that users get, or got before this study. */
export const defaultArms: readonly ArmName[] = armNames.filter(name => arms[name].learningRates !== undefined);

/** The arm that SPSFT is for a recipe that says nothing about it, by the kind of model. */
export const defaultOfSpsft: Readonly<Record<ObjectiveEntry['model'], ArmName>> = {
  causal: 'random columns, default rate',
  classifier: 'rows by wanda, default rate',
};
export const DEFAULT_OF_LORA: ArmName = 'lora, default rate';

/** The arms that all others are compared with. */
export const RANDOM_ROWS: ArmName = 'rows, random';
export const LORA: ArmName = 'lora';
