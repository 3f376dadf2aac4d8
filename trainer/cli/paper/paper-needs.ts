/** The models and data sets of the paper: their names, sizes and locations. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { findComplete, repoFolder } from '../../hub/hub-cache.ts';
import { elementAt } from '../../narrow.ts';

export interface PaperModel {
  /** The name on the Hugging Face hub; under --models, the folder has the name's last part. */
  readonly hub: string;
  /** Number of parameters in millions. */
  readonly parameters: number;
}

export const paperModels = {
  deit: { hub: 'facebook/deit-base-patch16-224', parameters: 86 },
  vit: { hub: 'google/vit-base-patch16-224', parameters: 86 },
  resnet101: { hub: 'microsoft/resnet-101', parameters: 44.5 },
  resnext101: { hub: 'timm/resnext101_32x8d.tv_in1k', parameters: 88.8 },
  deberta: { hub: 'microsoft/deberta-v3-base', parameters: 184 },
  llama2: { hub: 'meta-llama/Llama-2-7b-hf', parameters: 6738 },
  llama3: { hub: 'meta-llama/Meta-Llama-3-8B', parameters: 8030 },
} as const satisfies Readonly<Record<string, PaperModel>>;

export type ModelKey = keyof typeof paperModels;

export interface PaperData {
  readonly title: string;
  /** The path under --data. */
  readonly train: string;
  readonly eval?: string;
  /** The share of the training samples to hold out, for data with a single split. */
  readonly heldOut?: number;
  /** The layout on the hub: a folder, and the prefixes of its Parquet files for training and evaluation. */
  readonly parquet?: { readonly folder: string; readonly train: string; readonly eval: string };
  /** The published archive or files, to be unpacked under --data. */
  readonly archive: string;
}

/** A GLUE task. @param matched which of the two evaluation sets of MNLI */
const glue = (folder: string, matched = ''): PaperData => ({
  title: `GLUE ${folder}`,
  train: `${folder}/train.tsv`,
  eval: `${folder}/dev${matched}.tsv`,
  parquet: { folder: folder.replace('-', '').toLowerCase(), train: 'train', eval: `validation${matched}` },
  archive: `${folder}.zip of GLUE, or the Parquet files of nyu-mll/glue`,
});

export const paperData = {
  cifar100: {
    title: 'CIFAR-100',
    train: 'cifar-100-binary/train.bin',
    eval: 'cifar-100-binary/test.bin',
    archive: 'cifar-100-binary.tar.gz',
  },
  tiny_imagenet: {
    title: 'Tiny-ImageNet',
    train: 'tiny-imagenet-200/train',
    eval: 'tiny-imagenet-200/val',
    archive: 'tiny-imagenet-200.zip',
  },
  caltech101: {
    title: 'Caltech-101',
    train: '101_ObjectCategories',
    heldOut: 0.2,
    archive: '101_ObjectCategories.tar.gz of Caltech-101',
  },
  cola: glue('CoLA'),
  mnli: glue('MNLI', '_matched'),
  mrpc: glue('MRPC'),
  qnli: glue('QNLI'),
  qqp: glue('QQP'),
  rte: glue('RTE'),
  sst2: glue('SST-2'),
  stsb: glue('STS-B'),
  alpaca: { title: 'Stanford Alpaca, 256 samples', train: 'alpaca_data.json', archive: 'a file of Stanford Alpaca' },
} as const satisfies Readonly<Record<string, PaperData>>;

export type DataKey = keyof typeof paperData;

/** The seven benchmarks whose mean the paper reports. Those that are not GLUE tasks are json, jsonl or Parquet files under --data. */
const paperBenchmarks = ['arc_challenge', 'arc_easy', 'boolq', 'hellaswag', 'openbookqa', 'rte', 'winogrande'] as const;

export interface Places {
  /** The absolute path of --models. */
  readonly models: string | undefined;
  /** The absolute path of --data. */
  readonly data: string;
  readonly cacheDir: string;
}

/** The location of a model: a local folder, or its hub name if it was downloaded; undefined otherwise. */
export async function findPaperModel(key: ModelKey, { models, cacheDir }: Places): Promise<string | undefined> {
  const { hub } = paperModels[key];
  const local = models === undefined ? undefined : path.join(models, path.basename(hub));
  if (local !== undefined && existsSync(path.join(local, 'config.json'))) return local;
  return (await findComplete(repoFolder(cacheDir, hub), 'main')) === undefined ? undefined : hub;
}

/** The missing model, and how to provide it. */
export const missingModel = (key: ModelKey): string =>
  `the model ${paperModels[key].hub} (put it in ${path.basename(paperModels[key].hub)}/ under --models, or download it: --download)`;

export interface MissingFile {
  readonly file: string;
  /** The source of the data, for the user to get it. */
  readonly source: string;
}

/** The overrides for the data of a row, and the missing files among them. */
export function dataOverrides(
  key: DataKey,
  withBenchmarks: boolean,
  { data }: Places,
): { readonly overrides: string[]; readonly missing: MissingFile[] } {
  const { archive, heldOut, ...parts }: PaperData = paperData[key];
  const { train, eval: held } = parquetParts(parts, data) ?? parts;
  const files: [string, string][] = [['data.train', train]];
  if (held !== undefined) files.push(['data.eval', held]);
  const overrides = files.map(([setting, file]) => `${setting}=${JSON.stringify(path.join(data, file))}`);
  // An empty value removes the key from the recipe.
  if (held === undefined) overrides.push('data.eval=', `val_size=${heldOut ?? 0}`);
  const missing = files.map(([, file]) => ({ file: path.join(data, file), source: archive })).filter(({ file }) => !existsSync(file));
  if (withBenchmarks) {
    const found = paperBenchmarks.map(name => [name, benchmarkFile(name, data)] as const);
    const lacking = found.filter(([, file]) => !existsSync(file));
    missing.push(...lacking.map(([name, file]) => ({ file, source: `its ${partOf(name)} part, as jsonl, json or Parquet` })));
    overrides.push(`benchmarks=${JSON.stringify(Object.fromEntries(found))}`);
  }
  return { overrides, missing };
}

/** The hub's files, used if the files in the paper's layout are missing. */
function parquetParts({ train, parquet }: Pick<PaperData, 'train' | 'parquet'>, data: string): { train: string; eval: string } | undefined {
  if (!parquet || existsSync(path.join(data, train))) return undefined;
  const folder = path.join(data, parquet.folder);
  const names = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.parquet')) : [];
  const fileOf = (part: string) => names.find(name => name.slice(0, name.search(/[-.]/)) === part);
  const [first, second] = [fileOf(parquet.train), fileOf(parquet.eval)];
  return first && second ? { train: path.join(parquet.folder, first), eval: path.join(parquet.folder, second) } : undefined;
}

/** The split that lm-evaluation-harness uses: the test split if its answers are published. */
const partOf = (name: (typeof paperBenchmarks)[number]): string => (/^(arc|openbook)/.test(name) ? 'test' : 'validation');

function benchmarkFile(name: string, data: string): string {
  const named = ['.jsonl', '.json', '.parquet'].map(extension => path.join(data, 'benchmarks', `${name}${extension}`));
  return named.find(file => existsSync(file)) ?? elementAt(named, 0);
}
