/** The tuning methods. Code asks for a capability of an entry; no other file lists the names or compares with one. */
import { andList, entryOf, namesOf, namesWhere, orList } from './entries.ts';
import { objectiveCatalog } from './objectives.ts';

export interface MethodEntry {
  /** The name in lists and titles. */
  readonly label: string;
  /** The labels by the part of each weight that a run trains (`trains`). */
  readonly labelOf?: Readonly<Record<'rows' | 'columns' | 'coupled', string>>;
  /** One sentence for completion, hover, help and documentation. */
  readonly summary: string;
  /** The parts chosen before training: rows by importance, single elements, or nothing. */
  readonly chooses: 'rows' | 'elements' | 'nothing';
  /** How single elements are chosen, and how many: a share of each weight (sparse_ratio), or as many as factors of rank r have. */
  readonly elements?: { readonly by: 'gradients' | 'chance'; readonly counts: 'share' | 'rank' };
  /** The low-rank product next to a weight: two trained factors scaled by lora_alpha / r, or two vectors around shared frozen matrices. */
  readonly lowRank: 'none' | 'factors' | 'vectors';
  /** Whether the factors can be initialized from the weights (`init_lora_weights: pissa`). */
  readonly startsInWeights: boolean;
  /** Whether it trains the magnitude of each row in addition to the factors. */
  readonly hasMagnitudes: boolean;
  /** Whether it trains the biases of the targeted modules. */
  readonly trainsBiases: boolean;
  /** Whether it trains targeted modules as a whole. */
  readonly trainsWhole: boolean;
  /** Whether `target_modules` must match something, may match something, or is not read. */
  readonly targets: 'required' | 'optional' | 'none';
  /** Whether it can train the columns and norm entries that depend on the chosen rows. */
  readonly hasDependencies: boolean;
  /** Whether it can train columns in place of rows. */
  readonly trainsColumns: boolean;
  /** The meaning of `r`, and its default. */
  readonly r: { readonly counts: 'rows' | 'rank'; readonly fallback: number } | undefined;
  /** The default share of rows, for a method whose rows are not counted by `r`. */
  readonly ratio?: number;
  /** The default learning rate, from the method's paper or close to it; if there are two, both are from the study (docs/choosing.md). */
  readonly learningRate: number;
  /** The default for a model with a new head, or one that computes vectors, if it differs. */
  readonly headLearningRate?: number;
  /** The default for columns of a language model, if it differs. */
  readonly columnLearningRate?: number;
  /** Why it cannot train weights that are stored in 8 or 4 bits; reads after the method's name. */
  readonly needsFullWeights?: string;
  /** Why the base cannot be run while it trains (`preference.reference: live`); reads after the method's name. */
  readonly noLiveReference?: string;
  /** Why PEFT has no adapter for the result; reads after "which". */
  readonly noPeft?: string;
}

/** The values that most methods share. */
const plain = {
  chooses: 'nothing',
  lowRank: 'none',
  startsInWeights: false,
  hasMagnitudes: false,
  trainsBiases: false,
  trainsWhole: false,
  targets: 'required',
  hasDependencies: false,
  trainsColumns: false,
  r: undefined,
} as const;

const withFactors = { ...plain, lowRank: 'factors', r: { counts: 'rank', fallback: 16 } } as const;

const lowRank = { ...withFactors, learningRate: 2e-4, headLearningRate: 2e-3 } as const;

const entries = {
  spsft: {
    ...plain,
    label: 'Sparse fine-tuning (SPSFT)',
    labelOf: { rows: 'Sparse rows (SPSFT)', columns: 'Sparse columns (SPSFT)', coupled: 'Sparse rows and columns (SPSFT)' },
    summary: 'Train some rows or columns of each weight in place, the most important ones or random ones.',
    chooses: 'rows',
    hasDependencies: true,
    trainsColumns: true,
    r: { counts: 'rows', fallback: 32 },
    learningRate: 1e-3,
    headLearningRate: 3e-3,
    columnLearningRate: 2e-3,
  },
  lora: { ...lowRank, label: 'LoRA', summary: 'Train a low-rank product next to each weight.', startsInWeights: true },
  dora: {
    ...lowRank,
    label: 'DoRA',
    summary: "Train a low-rank update of each row's direction, and its magnitude separately.",
    hasMagnitudes: true,
  },
  rosa: {
    ...lowRank,
    label: 'RoSA',
    summary: 'Train a low-rank product next to each weight, and the few single elements of it that have the largest gradients.',
    chooses: 'elements',
    elements: { by: 'gradients', counts: 'share' },
    needsFullWeights: 'trains single elements of the weights',
    noPeft: 'trained single elements of the weights',
  },
  shira: {
    ...plain,
    label: 'SHiRA',
    summary: 'Train single random elements of each weight in place, as many as a low-rank product of rank r has.',
    chooses: 'elements',
    elements: { by: 'chance', counts: 'rank' },
    r: { counts: 'rank', fallback: 16 },
    learningRate: 5e-4,
    needsFullWeights: 'trains single elements of the weights',
  },
  vera: {
    ...plain,
    label: 'VeRA',
    summary: 'Train two vectors for each weight, around frozen random matrices that all weights share.',
    lowRank: 'vectors',
    r: { counts: 'rank', fallback: 256 },
    learningRate: 4e-3,
  },
  'spsft+lora': {
    ...withFactors,
    label: 'Sparse rows and LoRA',
    summary: 'Train the most important rows of each weight in place (ratio) and a low-rank product next to it (r).',
    chooses: 'rows',
    ratio: 0.02,
    learningRate: 5e-5,
  },
  bitfit: {
    ...plain,
    label: 'BitFit',
    summary: 'Train only the biases.',
    trainsBiases: true,
    targets: 'optional',
    noPeft: 'trained only biases',
    learningRate: 1e-3,
  },
  head: {
    ...plain,
    label: 'Head only',
    summary: 'Train only the output head.',
    trainsWhole: true,
    targets: 'none',
    noPeft: 'trained only the head',
    learningRate: 1e-3,
  },
  full: {
    ...plain,
    label: 'Full fine-tuning',
    summary: 'Train every weight.',
    trainsWhole: true,
    learningRate: 2e-5,
    needsFullWeights: 'trains every weight',
    noLiveReference: 'trains every weight, so a base to compare with would be a second model in memory',
    noPeft: 'changed every weight',
  },
} as const satisfies Readonly<Record<string, MethodEntry>>;

export type MethodName = keyof typeof entries;

export const methodCatalog: Readonly<Record<MethodName, MethodEntry>> = entries;

export const methodNames = namesOf(entries);

/** The methods with a capability, for a sentence: "lora, dora or rosa". */
export const methodsThat = (has: (entry: MethodEntry) => boolean): string => orList(namesWhere(methodCatalog, has));

/** True if a method chooses what it trains by scores; also for runs of older versions, which do not record their method. */
export function choosesByScores(method: string | undefined): boolean {
  if (method === undefined) return true;
  const entry = entryOf(methodCatalog, method);
  return entry !== undefined && entry.chooses !== 'nothing' && entry.elements?.by !== 'chance';
}

/** True if a method uses samples to choose single elements. */
export const choosesByGradients = ({ elements }: MethodEntry): boolean => elements?.by === 'gradients';

/** The learning rate of a recipe that sets none. Unknown methods get that of `spsft`, and unknown tasks that of language models. */
export function defaultLearningRate({ method, task, trains }: Readonly<Record<'method' | 'task' | 'trains', unknown>>): number {
  const entry: MethodEntry = entryOf(methodCatalog, method) ?? methodCatalog.spsft;
  const isWriter = (entryOf(objectiveCatalog, task) ?? objectiveCatalog.causal_lm).model === 'causal';
  const own = isWriter ? (trains === 'columns' ? entry.columnLearningRate : undefined) : entry.headLearningRate;
  return own ?? entry.learningRate;
}

/** The default rates, for people: "1e-3 for spsft, bitfit and head, …". */
export function learningRatesText(): string {
  const byRate = (rateOf: (entry: MethodEntry) => number | undefined): string => {
    const rates = new Set(methodNames.flatMap(name => rateOf(methodCatalog[name]) ?? []));
    return [...rates]
      .map(rate => `${rate.toExponential()} for ${andList(namesWhere(methodCatalog, entry => rateOf(entry) === rate))}`)
      .join(', ');
  };
  const columns = byRate(({ columnLearningRate }) => columnLearningRate);
  const heads = byRate(({ headLearningRate }) => headLearningRate);
  return `${byRate(({ learningRate }) => learningRate)}; with columns of a language model ${columns}; with a head for labels or numbers, or for embeddings, ${heads}`;
}
