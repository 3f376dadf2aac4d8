/**
 * The paper's tables as rows to run, each with the numbers that the paper (Memory-efficient fine-tuning via structured neural network
 * pruning) states. Only numbers from its text or tables are included; a row without a number is open.
 */

import { namesOf } from '../../catalog/entries.ts';
import type { DataKey, ModelKey } from './paper-needs.ts';

/**
 * A column: accuracy, or the metric of a GLUE task, in percent; parameters in millions; memory above inference in GB; mean of seven tasks
 * in percent.
 */
export type PaperColumn = 'quality' | 'trained' | 'memory' | 'mean' | 'seconds';
export type PaperValues = Readonly<Partial<Record<PaperColumn, number>>>;

export interface PaperRow {
  /** The name of its run folder. */
  readonly id: string;
  readonly title: string;
  /** A file of examples/paper/table-N, without .rowtune.yaml. */
  readonly recipe: string;
  readonly model: ModelKey;
  readonly data: DataKey;
  readonly overrides?: readonly string[];
  /** The paper's numbers. */
  readonly paper: PaperValues;
}

export interface PaperTable {
  readonly number: number;
  readonly title: string;
  readonly columns: readonly PaperColumn[];
  /** Present if the table is counted from the headers of the model, without training. */
  readonly countsOnly?: true;
  readonly benchmarks?: true;
  readonly rows: readonly PaperRow[];
}

const vision = { deit: 'DeiT', vit: 'ViT', resnet101: 'ResNet-101', resnext101: 'ResNeXt-101' } as const;
type VisionKey = keyof typeof vision;
const visionKeys = namesOf(vision);
const imageSets = { cifar100: 'CIFAR-100', tiny_imagenet: 'Tiny-ImageNet', caltech101: 'Caltech-101' } as const;
const imageKeys = namesOf(imageSets);

/** Accuracies in percent for CIFAR-100, Tiny-ImageNet and Caltech-101. */
const ACCURACIES: Readonly<Record<VisionKey, Readonly<Record<'dense' | 'head' | 'spsft', readonly [number, number, number]>>>> = {
  deit: { dense: [90.18, 87.55, 97.33], head: [80.25, 85.09, 89.02], spsft: [88.7, 89.69, 95.41] },
  vit: { dense: [90.13, 88.45, 97.16], head: [74.78, 84.1, 85.7], spsft: [88.13, 90.87, 93.96] },
  resnet101: { dense: [86.21, 77.78, 96.5], head: [60.78, 62.06, 82.33], spsft: [82.36, 79.66, 92.56] },
  resnext101: { dense: [87.3, 79.51, 97.07], head: [65.07, 65.59, 83.16], spsft: [85.94, 83.88, 95.84] },
};
const TRAINED: Readonly<Record<VisionKey, Readonly<Partial<Record<string, number>>>>> = {
  deit: { dense: 86, spsft: 4.6 },
  vit: { dense: 86, spsft: 4.6 },
  resnet101: { dense: 42.7, spsft: 2.2 },
  resnext101: { dense: 87, spsft: 4.9 },
};
const MEASURES = { magnitude: 88.05, taylor: 88.7, qm_taylor: 89.37 } as const;

const visionRows = visionKeys.flatMap(model =>
  imageKeys.flatMap((data, place) =>
    (['dense', 'head', 'spsft'] as const).map(
      (recipe): PaperRow => ({
        id: `${model}-${data}-${recipe}`,
        title: `${vision[model]} on ${imageSets[data]}, ${recipe}`,
        recipe,
        model,
        data,
        paper: { quality: ACCURACIES[model][recipe][place], trained: TRAINED[model][recipe] },
      }),
    ),
  ),
);

const measureRows = visionKeys.flatMap(model =>
  (['magnitude', 'taylor', 'qm_taylor'] as const).map(
    (measure): PaperRow => ({
      id: `${model}-${measure}`,
      title: `${vision[model]}, ${measure}`,
      recipe: measure,
      model,
      data: 'cifar100',
      paper: model === 'deit' ? { quality: MEASURES[measure] } : {},
    }),
  ),
);

interface LlmRun {
  readonly recipe: string;
  readonly title: string;
  readonly llama2: PaperValues;
  readonly llama3: PaperValues;
}

const LLM_RUNS: readonly LlmRun[] = [
  {
    recipe: 'lora',
    title: 'LoRA r64',
    llama2: { memory: 23.46, trained: 159.9, mean: 60.0 },
    llama3: { memory: 30.37, trained: 167.8, mean: 64.98 },
  },
  {
    recipe: 'spsft',
    title: 'SPSFT r128',
    llama2: { memory: 17.62, trained: 145.8, mean: 60.03 },
    llama3: { memory: 24.49, trained: 159.4, mean: 64.46 },
  },
  {
    recipe: 'fa-lora',
    title: 'FA-LoRA r64',
    llama2: { memory: 17.25, trained: 92.8, mean: 60.38 },
    llama3: { memory: 24.55, trained: 113.2, mean: 64.98 },
  },
  {
    recipe: 'fa-spsft',
    title: 'FA-SPSFT r128',
    llama2: { memory: 15.21, trained: 78.6, mean: 59.75 },
    llama3: { memory: 22.41, trained: 92.3, mean: 64.3 },
  },
];
const llms = { llama2: 'Llama-2-7B', llama3: 'Llama-3-8B' } as const;
const llmKeys = ['llama2', 'llama3'] as const;

const llmRows = llmKeys.flatMap(model =>
  LLM_RUNS.map((run): PaperRow => {
    const { recipe, title } = run;
    return { id: `${model}-${recipe}`, title: `${llms[model]}, ${title}`, recipe, model, data: 'alpaca', paper: run[model] };
  }),
);

const peerRows = ['lora', 'dora', 'rosa', 'spsft'].map(
  (recipe): PaperRow => ({
    id: `llama3-${recipe}`,
    title: `Llama-3-8B, ${recipe}`,
    recipe,
    model: 'llama3',
    data: 'alpaca',
    paper: { memory: { lora: 30.37, dora: 44.8, rosa: 44.65, spsft: 24.49 }[recipe] },
  }),
);

const dependencyRows = visionKeys.flatMap(model =>
  (['spsft', 'spsft-dependencies'] as const).map(
    (recipe): PaperRow => ({
      id: `${model}-${recipe}`,
      title: `${vision[model]}, ${recipe === 'spsft' ? 'without' : 'with'} dependencies`,
      recipe,
      model,
      data: 'cifar100',
      paper: recipe === 'spsft' ? { quality: ACCURACIES[model].spsft[0] } : {},
    }),
  ),
);

const GLUE = { cola: 65.56, mnli: 89.55, mrpc: 87.5, qnli: 93.15, qqp: 91.57, rte: 80.14, sst2: 95.41, stsb: 89.14 } as const;

const glueRows = namesOf(GLUE).flatMap(data =>
  (['dense', 'spsft', 'spsft-dependencies'] as const).map((recipe): PaperRow => {
    const overrides = data === 'stsb' ? ['task=sequence_regression'] : [];
    const paper = recipe === 'spsft' ? { quality: GLUE[data] } : recipe === 'dense' ? { trained: 184 } : {};
    return { id: `${data}-${recipe}`, title: `${data}, ${recipe}`, recipe, model: 'deberta', data, overrides, paper };
  }),
);

const COUNTS = { spsft: { 32: 36.4, 64: 72.9, 128: 145.8 }, 'fa-spsft': { 32: 19.7, 64: 39.3, 128: 78.6 } } as const;

const countRows = (['spsft', 'fa-spsft'] as const).flatMap(recipe =>
  ([32, 64, 128] as const).map(
    (r): PaperRow => ({
      id: `llama2-${recipe}-r${r}`,
      title: `Llama-2-7B, ${recipe.toUpperCase()} r${r}`,
      recipe,
      model: 'llama2',
      data: 'alpaca',
      overrides: [`r=${r}`],
      paper: { trained: COUNTS[recipe][r] },
    }),
  ),
);

export const paperTables: readonly PaperTable[] = [
  { number: 2, title: 'Vision: dense, head, SPSFT (Taylor), 5 epochs', columns: ['quality', 'trained'], rows: visionRows },
  { number: 3, title: 'Importance measures on CIFAR-100, 5 epochs', columns: ['quality'], rows: measureRows },
  {
    number: 4,
    title: 'Language models: memory, and zero-shot accuracy over seven benchmarks',
    columns: ['memory', 'trained', 'mean'],
    benchmarks: true,
    rows: llmRows,
  },
  { number: 5, title: 'Memory and time compared with DoRA and RoSA', columns: ['memory', 'seconds'], rows: peerRows },
  { number: 6, title: 'With and without dependencies on CIFAR-100', columns: ['quality', 'trained'], rows: dependencyRows },
  { number: 7, title: 'GLUE with DeBERTaV3, 10 epochs', columns: ['quality', 'trained'], rows: glueRows },
  { number: 8, title: "SPSFT's parameters by rank", columns: ['trained'], countsOnly: true, rows: countRows },
];
