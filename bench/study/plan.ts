/** The plan of the study as data: tasks with models and sizes, the arms of each, and the order of the parts (see plan.md). Pure. */
import { createHash } from 'node:crypto';
import { entryOf } from '../../trainer/catalog/entries.ts';
import { objectiveCatalog } from '../../trainer/catalog/objectives.ts';
import {
  type ArmBudget,
  type ArmFamily,
  type ArmName,
  armNames,
  arms,
  defaultArms,
  type Settings,
  searchingArms,
  type UnitBudget,
} from './arms.ts';

export type BaseName = 'vit' | 'resnet' | 'minilm' | 'smollm2';
export type DataName =
  | 'digits'
  | 'mails'
  | 'definitions'
  | 'kinds'
  | 'novel'
  | 'addresses'
  | 'arithmetic'
  | 'emojis'
  | 'speeches'
  | 'sentiments';

export interface TaskPlan {
  readonly name: string;
  readonly title: string;
  readonly base: BaseName;
  readonly data: DataName;
  readonly settings: Settings;
  /** Samples for training, for choosing the learning rate, and for testing. For images, per class, and all test images are used. */
  readonly samples: { readonly tune: number; readonly validate: number; readonly test: number };
  readonly budget: ArmBudget;
  /** Budgets of columns and coupled channels; absent for models whose blocks have no linear layers. */
  readonly units?: UnitBudget;
  /** The middle of the first three learning rates. */
  readonly rates: Readonly<Record<ArmFamily, number>>;
  /** Arms that do not fit the model, or whose score the task can't provide. */
  readonly without?: readonly ArmName[];
  /** Arms of the first part that this task runs with the remaining ones, because its runs are long. */
  readonly later?: readonly ArmName[];
  /** Maximum tokens of an answer. If set, a test run also answers its test prompts; its accuracy is the share of exact matches. */
  readonly answerTokens?: number;
}

/**
 * Seed of the bases. It differs from the other seeds, because a new head drawn from the same seed would start like the base's head, which
 * fits the features.
 */
export const BASE_SEED = 1;
/** The seed of the runs that choose the learning rate. */
export const TUNING_SEED = 7;
export const SEEDS = [2, 3, 4, 5, 6] as const;

const imageRates = { rows: 1e-2, product: 1e-2, head: 1e-1, biases: 3.2e-2, whole: 3.2e-3 };
const encoderRates = { rows: 3.2e-3, product: 3.2e-3, head: 1e-2, biases: 1e-2, whole: 1.8e-4 };
const decoderRates = { rows: 3.2e-3, product: 1e-3, head: 1e-3, biases: 1e-2, whole: 1e-4 };

/** Units per layer of MiniLM. Columns are 3456 parameters, coupled channels 1538, and the rows 3462. */
const encoderUnits: UnitBudget = { columns: 16, coupled: 36, heads: 32 };
/** Units per layer of SmolLM2. Columns are 5184 parameters, coupled channels 4032, and the rows 4992. */
const decoderUnits: UnitBudget = { columns: 15, coupled: 20 };

const images: Settings = {
  task: 'image_classification',
  per_device_train_batch_size: 20,
  per_device_eval_batch_size: 60,
  num_train_epochs: 8,
  'importance.samples': 100,
};
const digits = { tune: 30, validate: 10, test: 360 };

const encoder: Settings = {
  task: 'sequence_classification',
  max_length: 32,
  per_device_train_batch_size: 8,
  per_device_eval_batch_size: 24,
  num_train_epochs: 1,
  'importance.samples': 64,
};

/** The encoder with a new head, with budgets and first rates. */
const onMiniLm = {
  base: 'minilm',
  settings: encoder,
  samples: { tune: 480, validate: 120, test: 240 },
  budget: { lora: 8, spsft: 16 },
  units: encoderUnits,
  rates: encoderRates,
} as const;

const decoder: Settings = {
  task: 'causal_lm',
  dtype: 'bfloat16',
  max_length: 80,
  per_device_train_batch_size: 4,
  per_device_eval_batch_size: 8,
  num_train_epochs: 1,
  'importance.samples': 16,
};

/** Arms with scores by class, which a language model that answers with a label does not have. */
const BY_CLASS: readonly ArmName[] = ['rows, qm_taylor', 'rows, class_max_taylor', 'rows, class_mean_taylor'];

const LONG: readonly ArmName[] = ['rows, activation', 'rows, taylor'];

/** The base of the tasks that are answered in words, with budgets and first rates. */
const onSmolLm2 = { base: 'smollm2', budget: { lora: 8, spsft: 16 }, units: decoderUnits, rates: decoderRates } as const;

const table = {
  'minilm-mails': {
    title: 'MiniLM, spam or ham',
    ...onMiniLm,
    data: 'mails',
  },
  'smollm2-mails': {
    title: 'SmolLM2-135M, spam or ham',
    ...onSmolLm2,
    data: 'mails',
    settings: { ...decoder, 'data.prompt': 'Is this e-mail spam or ham?\n\n{text}\n\nAnswer spam or ham.' },
    samples: { tune: 120, validate: 48, test: 64 },
    // A Llama has no biases.
    without: ['bitfit', ...BY_CLASS],
    later: LONG,
  },
  'vit-digits': {
    title: 'a small ViT, handwritten digits',
    base: 'vit',
    data: 'digits',
    settings: images,
    samples: digits,
    budget: { lora: 4, spsft: 8 },
    units: { columns: 8, coupled: 14 },
    rates: imageRates,
  },
  'minilm-definitions': {
    title: 'MiniLM, the topic of a definition',
    ...onMiniLm,
    data: 'definitions',
  },
  'resnet-digits': {
    title: 'a small ResNet, handwritten digits',
    base: 'resnet',
    data: 'digits',
    settings: { ...images, 'data.image_size': 32 },
    samples: digits,
    budget: { lora: 5, spsft: 6 },
    rates: imageRates,
  },
  'smollm2-novel': {
    title: 'SmolLM2-135M, chapters of a novel',
    ...onSmolLm2,
    data: 'novel',
    settings: { ...decoder, 'data.format': 'text' },
    samples: { tune: 120, validate: 32, test: 48 },
    without: ['bitfit', ...BY_CLASS],
    later: LONG,
  },
  'minilm-kinds': {
    title: 'MiniLM, whether one thing is a kind of another',
    ...onMiniLm,
    data: 'kinds',
  },
  'smollm2-addresses': {
    title: 'SmolLM2-135M, the parts of an address as JSON',
    ...onSmolLm2,
    data: 'addresses',
    settings: { ...decoder, max_length: 144 },
    samples: { tune: 120, validate: 32, test: 48 },
    without: ['bitfit', ...BY_CLASS],
    later: LONG,
    answerTokens: 64,
  },
  'smollm2-arithmetic': {
    title: 'SmolLM2-135M, sums and differences in words',
    ...onSmolLm2,
    data: 'arithmetic',
    settings: decoder,
    samples: { tune: 120, validate: 48, test: 64 },
    without: ['bitfit', ...BY_CLASS],
    later: LONG,
    answerTokens: 8,
  },
  'minilm-emojis': {
    title: 'MiniLM, the group of an emoji by its name',
    ...onMiniLm,
    data: 'emojis',
    settings: { ...encoder, 'data.labels': ['activities', 'food', 'nature', 'objects', 'people', 'smileys', 'symbols', 'travel'] },
  },
  'minilm-speeches': { title: 'MiniLM, the party of a president by a passage', ...onMiniLm, data: 'speeches' },
  'minilm-sentiments': { title: 'MiniLM, whether a word sounds good or bad', ...onMiniLm, data: 'sentiments' },
} as const satisfies Readonly<Record<string, Omit<TaskPlan, 'name'>>>;

/** The tasks that also have a longer form: four times as many updates, at the fixed rates only. */
const LONGER: readonly (keyof typeof table)[] = ['minilm-mails', 'minilm-emojis', 'smollm2-mails', 'smollm2-arithmetic'];

const longer = (task: Omit<TaskPlan, 'name'>): Omit<TaskPlan, 'name'> => ({
  ...task,
  title: `${task.title}, four epochs`,
  settings: { ...task.settings, num_train_epochs: 4 },
  without: searchingArms,
});

export const tasks: readonly TaskPlan[] = [
  ...Object.entries<Omit<TaskPlan, 'name'>>(table).map(([name, task]) => ({ name, ...task })),
  ...LONGER.map(name => ({ name: `${name}-long`, ...longer(table[name]) })),
];

/** The arms that answer the main questions: which rows to train, and whether to train rows. */
const QUESTION: readonly ArmName[] = [
  'rows, random',
  'rows, magnitude',
  'rows, wanda',
  'rows, activation',
  'rows, taylor_row',
  'rows, taylor',
  'lora',
];

export interface Part {
  readonly task: TaskPlan;
  readonly arms: readonly ArmName[];
}

const isFirst = (task: TaskPlan, arm: ArmName): boolean => QUESTION.includes(arm) && !task.later?.includes(arm);

/** The fixed learning rate of an arm; undefined if it searches one. */
export const fixedRateOf = ({ settings }: TaskPlan, arm: ArmName): number | undefined =>
  arms[arm].learningRates?.[entryOf(objectiveCatalog, settings.task)?.model ?? 'causal'];

/** True if the model has what the arm trains, and the task has its scores. An arm with fixed rates may lack one for a kind of model. */
export const hasArm = (task: TaskPlan, arm: ArmName): boolean => {
  const { unit, learningRates } = arms[arm];
  if (task.without?.includes(arm) || (unit && task.units?.[unit] === undefined)) return false;
  return learningRates === undefined || fixedRateOf(task, arm) !== undefined;
};

const armsOf = (task: TaskPlan, first: boolean): ArmName[] =>
  searchingArms.filter(arm => isFirst(task, arm) === first && hasArm(task, arm));

/** The parts in order of value: the main questions on every task, then the defaults, then the remaining arms of every task. */
export const parts: readonly Part[] = [
  ...tasks.map(task => ({ task, arms: armsOf(task, true) })),
  ...tasks.map(task => ({ task, arms: defaultArms.filter(arm => !arms[arm].isPast && hasArm(task, arm)) })),
  ...tasks.map(task => ({ task, arms: armsOf(task, false) })),
];

/** The settings that all tasks share. */
export const COMMON: Settings = {
  warmup_ratio: 0.1,
  eval_strategy: 'no',
  save_strategy: 'no',
  logging_steps: 10,
  recompute: 'none',
};

/** One run of the study. */
export interface PlannedRun {
  readonly task: TaskPlan;
  readonly arm: ArmName;
  readonly purpose: 'tune' | 'test';
  readonly learningRate: number;
  readonly seed: number;
}

const answersOf = (samples: number, tokens: number): Settings => ({
  'eval_generation.checks': ['exact_match'],
  'eval_generation.max_samples': samples,
  'eval_generation.max_new_tokens': tokens,
});

/** The recipe of a run, without its model and data. */
export const settingsOf = ({ task, arm, purpose, learningRate, seed }: PlannedRun): Settings => ({
  ...COMMON,
  ...task.settings,
  ...arms[arm].settings({ ...task.budget, ...task.units }),
  // Measured after the run, so that they affect no other numbers.
  ...(purpose === 'test' && task.settings.task === 'causal_lm' ? { eval_forgetting: true } : {}),
  ...(purpose === 'test' && task.answerTokens !== undefined ? answersOf(task.samples.test, task.answerTokens) : {}),
  learning_rate: learningRate,
  seed,
});

/**
 * Returns a fingerprint of everything that the numbers of an arm of a task depend on, which distinguishes runs of different plans. The
 * budget of a unit is included only for its own arms.
 */
export function planOf({ settings, samples, budget, units }: TaskPlan, arm?: ArmName): string {
  const unit = arm && arms[arm].unit;
  return createHash('sha256')
    .update(JSON.stringify([COMMON, settings, samples, budget, ...(unit ? [units?.[unit]] : [])]))
    .digest('hex')
    .slice(0, 12);
}

/** The fingerprint of a row with this arm's name if it belongs to the plan; without a unit for an arm that no longer exists. */
export const planOfRow = (task: TaskPlan, arm: string): string =>
  planOf(
    task,
    armNames.find(name => name === arm),
  );

/** Returns a plan of the same form that takes seconds, to show that every part works. Its numbers are meaningless. */
export const tinyTask = (task: TaskPlan): TaskPlan => ({
  ...task,
  settings: { ...task.settings, max_steps: 2, 'importance.samples': 4 },
  samples: { tune: task.data === 'digits' ? 3 : 16, validate: task.data === 'digits' ? 2 : 8, test: 8 },
});
