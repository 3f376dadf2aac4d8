/** What the study compares: models with their data, ways to tune them at equal budgets, learning rates to choose from. Pure. */

export type PartName = 'vit' | 'resnet' | 'minilm';

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
  /** LoRA's rank, and the rows a layer that come nearest to its parameters. */
  readonly budget: { readonly lora: number; readonly spsft: number };
  readonly measures: readonly string[];
}

export const SEEDS = [1, 2, 3] as const;
/** Of the runs that choose the learning rate. */
export const TUNING_SEED = 7;

/** Three for each family, half a decade apart; where the best lies at an end, the report says so. */
export const RATES: Readonly<Record<Family, readonly number[]>> = {
  spsft: [1e-3, 3e-3, 1e-2],
  lora: [1e-3, 3e-3, 1e-2],
  dora: [1e-3, 3e-3, 1e-2],
  head: [3e-3, 1e-2, 3e-2],
  bitfit: [3e-3, 1e-2, 3e-2],
  full: [1e-4, 3e-4, 1e-3],
};

const images: Settings = {
  task: 'image_classification',
  per_device_train_batch_size: 20,
  per_device_eval_batch_size: 60,
  num_train_epochs: 4,
  'importance.samples': 100,
};
const measures = ['magnitude', 'taylor', 'taylor_row', 'wanda', 'fisher'];

export const parts: readonly PartPlan[] = [
  {
    name: 'vit',
    title: 'a small ViT on digits',
    settings: images,
    budget: { lora: 4, spsft: 8 },
    measures: [...measures, 'qm_taylor'],
  },
  {
    name: 'resnet',
    title: 'a small ResNet on digits',
    settings: { ...images, 'data.image_size': 32 },
    budget: { lora: 5, spsft: 6 },
    measures: [...measures, 'qm_taylor'],
  },
  {
    name: 'minilm',
    title: 'MiniLM on spam',
    settings: {
      task: 'sequence_classification',
      max_length: 64,
      per_device_train_batch_size: 12,
      per_device_eval_batch_size: 24,
      num_train_epochs: 1,
      'importance.samples': 36,
    },
    budget: { lora: 8, spsft: 16 },
    measures: ['magnitude', 'taylor', 'taylor_row', 'wanda'],
  },
];

/** The first way of each family is the one whose learning rate is tuned. */
export function waysOf({ budget, measures: chosen }: PartPlan): Way[] {
  const rows = [...chosen, 'random'].map((measure): Way => {
    const settings = { method: 'spsft', r: budget.spsft, 'importance.measure': measure, 'importance.cache': false };
    return { name: `spsft, ${measure}`, family: 'spsft', settings };
  });
  // lora_alpha = r, so that the scale is 1 at every rank.
  const rank = { r: budget.lora, lora_alpha: budget.lora };
  return [
    ...rows,
    { name: 'lora', family: 'lora', settings: { method: 'lora', ...rank } },
    { name: 'dora', family: 'dora', settings: { method: 'dora', ...rank } },
    { name: 'head', family: 'head', settings: { method: 'head' } },
    { name: 'bitfit', family: 'bitfit', settings: { method: 'bitfit' } },
    { name: 'full', family: 'full', settings: { method: 'full' } },
  ];
}

/** One run: what it is for, and the recipe's settings beside model and data. */
export interface PlannedRun {
  readonly purpose: 'tune' | 'test';
  readonly way: Way;
  readonly learningRate: number;
  readonly seed: number;
}

export const tuningRuns = (ways: readonly Way[]): PlannedRun[] =>
  [...new Map([...ways].reverse().map(way => [way.family, way])).values()].flatMap(way =>
    RATES[way.family].map(learningRate => ({ purpose: 'tune' as const, way, learningRate, seed: TUNING_SEED })),
  );

export const testRuns = (ways: readonly Way[], rates: ReadonlyMap<Family, number>): PlannedRun[] =>
  ways.flatMap(way =>
    SEEDS.map(seed => ({ purpose: 'test' as const, way, learningRate: rates.get(way.family) ?? RATES[way.family][1] ?? 0, seed })),
  );
