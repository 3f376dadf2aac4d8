/** The plan of the study: models with their data, ways to tune them at equal budgets, learning rates to choose from. Pure. */

export type PartName = 'vit' | 'resnet' | 'minilm' | 'smollm2';

/** Settings of a recipe by their dotted names. */
export type Settings = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface Way {
  readonly name: string;
  /** Ways of one family share the learning rate that its first way was tuned to. */
  readonly family: Family;
  readonly settings: Settings;
}

export type Family = 'spsft' | 'lora' | 'dora' | 'head' | 'bitfit' | 'full';

export interface PartPlan {
  readonly name: PartName;
  readonly title: string;
  readonly settings: Settings;
  /** The most samples to tune on, to choose the learning rate by, and to test on; for images, per class, and all test images are used. */
  readonly samples: { readonly tune: number; readonly validate: number; readonly test: number };
  /** The first three learning rates of a family go up from here; `study-rates.ts` finds the rest. */
  readonly rates: Rates;
  /** LoRA's rank, and the rows a layer that come nearest to its parameters. */
  readonly budget: { readonly lora: number; readonly spsft: number };
  readonly measures: readonly string[];
  /** Families that it has no place for: dora tunes linear layers and a ResNet's are convolutions; bitfit tunes biases and a Llama has none. */
  readonly without?: readonly Family[];
}

/** Not that of the bases: a new head drawn from the same seed would begin as theirs did, and their features fit it. */
export const BASE_SEED = 1;
export const SEEDS = [2, 3, 4] as const;
/** The seed of the runs that choose the learning rate. */
export const TUNING_SEED = 7;

export type Rates = Readonly<Record<Family, number>>;

const imageRates: Rates = { spsft: 1e-2, lora: 3e-3, dora: 3e-3, head: 3e-2, bitfit: 1e-2, full: 1e-3 };

const images: Settings = {
  task: 'image_classification',
  per_device_train_batch_size: 20,
  per_device_eval_batch_size: 60,
  num_train_epochs: 8,
  'importance.samples': 100,
};
const digits = { tune: 30, validate: 10, test: 360 };
const measures = ['magnitude', 'taylor', 'taylor_row', 'wanda'];
/** The measures of models whose runs take seconds. */
const allMeasures = [...measures, 'qm_taylor', 'class_max_taylor', 'class_mean_taylor', 'taylor_squared', 'fisher', 'activation'];

export const parts: readonly PartPlan[] = [
  {
    name: 'vit',
    title: 'a small ViT on digits',
    settings: images,
    samples: digits,
    rates: imageRates,
    budget: { lora: 4, spsft: 8 },
    measures: allMeasures,
  },
  {
    name: 'resnet',
    title: 'a small ResNet on digits',
    settings: { ...images, 'data.image_size': 32 },
    samples: digits,
    rates: imageRates,
    budget: { lora: 5, spsft: 6 },
    measures: allMeasures,
  },
  {
    name: 'minilm',
    title: 'MiniLM on spam',
    settings: {
      task: 'sequence_classification',
      max_length: 64,
      per_device_train_batch_size: 8,
      per_device_eval_batch_size: 24,
      num_train_epochs: 1,
      'importance.samples': 48,
    },
    samples: { tune: 480, validate: 120, test: 240 },
    rates: { spsft: 1e-3, lora: 1e-3, dora: 1e-3, head: 3e-3, bitfit: 1e-3, full: 1e-4 },
    budget: { lora: 8, spsft: 16 },
    measures: allMeasures,
  },
  {
    name: 'smollm2',
    title: 'SmolLM2-135M on spam',
    settings: {
      task: 'causal_lm',
      'data.prompt': 'Is this e-mail spam or ham?\n\n{text}\n\nAnswer spam or ham.',
      dtype: 'bfloat16',
      max_length: 128,
      per_device_train_batch_size: 2,
      per_device_eval_batch_size: 8,
      num_train_epochs: 1,
      'importance.samples': 16,
    },
    samples: { tune: 240, validate: 48, test: 96 },
    rates: { spsft: 3e-4, lora: 3e-4, dora: 3e-4, head: 1e-4, bitfit: 1e-3, full: 1e-5 },
    budget: { lora: 8, spsft: 16 },
    without: ['bitfit'],
    measures,
  },
];

/** The first way of each family is the one whose learning rate is tuned. */
export function waysOf({ budget, measures: chosen, without = [] }: PartPlan): Way[] {
  const rows = [...chosen, 'random'].map((measure): Way => {
    // In its streaming form, by the gradient of each batch.
    const exact: Settings = /^taylor(_squared)?$/.test(measure) ? { 'importance.exact': false } : {};
    const settings = { method: 'spsft', r: budget.spsft, 'importance.measure': measure, ...exact, 'importance.cache': false };
    return { name: `spsft, ${measure}`, family: 'spsft', settings };
  });
  // lora_alpha = r, so that the scale is 1 at every rank.
  const rank = { r: budget.lora, lora_alpha: budget.lora };
  const all: readonly Way[] = [
    ...rows,
    { name: 'lora', family: 'lora', settings: { method: 'lora', ...rank } },
    { name: 'dora', family: 'dora', settings: { method: 'dora', ...rank } },
    { name: 'head', family: 'head', settings: { method: 'head' } },
    { name: 'bitfit', family: 'bitfit', settings: { method: 'bitfit' } },
    { name: 'full', family: 'full', settings: { method: 'full' } },
  ];
  return all.filter(({ family }) => !without.includes(family));
}

/** One run: its purpose, and the recipe's settings other than model and data. */
export interface PlannedRun {
  readonly purpose: 'tune' | 'test';
  readonly way: Way;
  readonly learningRate: number;
  readonly seed: number;
}

/** The ways that learning rates are chosen with: the first of each family. */
export const tunedWays = (ways: readonly Way[]): Way[] =>
  [...new Map([...ways].reverse().map(way => [way.family, way])).values()].reverse();

export const tuningRun = (way: Way, learningRate: number): PlannedRun => ({ purpose: 'tune', way, learningRate, seed: TUNING_SEED });

export const testRuns = (ways: readonly Way[], tuned: ReadonlyMap<Family, number>): PlannedRun[] =>
  SEEDS.flatMap(seed => ways.map(way => ({ purpose: 'test' as const, way, learningRate: tuned.get(way.family) ?? Number.NaN, seed })));

/** The settings that a part's numbers depend on; runs of another plan are not reused. */
export const planOf = ({ settings, samples, budget }: PartPlan): string => JSON.stringify({ settings, samples, budget });
