/** The formats of untrusted files: examples of each in this repository, and how to read one completely. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readAdapter } from '../../trainer/adapter/read-adapter.ts';
import { checkImages } from '../../trainer/data/image/check-images.ts';
import { listImages } from '../../trainer/data/image/image-samples.ts';
import { loadImage } from '../../trainer/data/image/load-image.ts';
import { readRecords } from '../../trainer/data/read/read-records.ts';
import { readConfigFile } from '../../trainer/format/model-config.ts';
import type { TensorSource } from '../../trainer/format/tensor-source.ts';
import { createTokenizer, type Tokenizer } from '../../trainer/format/tokenizer/tokenizer.ts';
import { buildTokenizer, readTexts } from '../../trainer/format/tokenizer/tokenizer-files.ts';
import { openWeightFiles } from '../../trainer/format/weight-files.ts';
import { WEIGHT_FORMS } from '../../trainer/format/weight-forms.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { lintDocument } from '../../trainer/lint/lint.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { DataExtension } from '../../trainer/protocol/data-extensions.ts';
import { createRandom } from '../../trainer/random.ts';
import { readSources } from '../../trainer/reader/lint-sources.ts';
import { readMetrics } from '../../trainer/run/metrics-file.ts';
import { readRunState } from '../../trainer/run/run-state.ts';
import { readHere } from '../support/daemon/reader.ts';

export interface Format {
  /** Paths from the root of the repository; a folder stands for its files. Mutations that once failed are in test/hostile/corpus. */
  readonly examples: readonly string[];
  /** Returns the file name under which the reader gets the file. */
  readonly fileName: (example: string) => string;
  readonly isText: boolean;
  /** Reads a whole file; may only throw errors of ours. */
  readonly read: (file: string) => Promise<unknown>;
}

const own = (file: string): string => basename(file);
const golden = 'test/golden';

async function readAll(weights: TensorSource): Promise<void> {
  try {
    for (const name of weights.tensors.keys()) await weights.readFloat32(name);
  } finally {
    await weights.close();
  }
}

async function readWeights(file: string): Promise<void> {
  const form = WEIGHT_FORMS.find(({ format }) => file.endsWith(format.extension));
  if (form) await readAll(await openWeightFiles(file, form.format));
}

async function readRows(file: string, extension: DataExtension, bytes: boolean): Promise<void> {
  const records = readRecords({ files: [{ file, extension, bytes: readFileSync(file).length }], textSplit: 'blank_line', bytes });
  for await (const record of records) JSON.stringify(record.line);
}

const sentences = ['Hello, world! ünïcode 你好 🎈', '', '  spaces\t\n', 'a'.repeat(300)];

function tokenizeAll(tokenizer: Tokenizer): void {
  for (const text of sentences) tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: true }), { skipSpecialTokens: false });
}

const linting = {
  ...readSources(readHere, '/nowhere'),
  availableBytes: () => 2 ** 33,
  deviceHere: () => ({ device: 'cpu' as const }),
};

const preprocessing = {
  resize: { kind: 'exact', height: 16, width: 16 },
  height: 16,
  width: 16,
  kernel: 'linear',
  rescale: 1 / 255,
  mean: [0.5],
  std: [0.5],
  source: '',
} as const;

export const formats: Readonly<Record<string, Format>> = {
  safetensors: {
    examples: [`${golden}/peft/vera_without_projection/adapter_model.safetensors`, `${golden}/peft/vit_dora/adapter_model.safetensors`],
    fileName: () => 'model.safetensors',
    isText: false,
    read: readWeights,
  },
  gguf: {
    examples: [`${golden}/gguf/tiny-spm.gguf`],
    fileName: () => 'model.gguf',
    isText: false,
    read: async file => {
      const model = await openModel(file);
      await readAll(model.weights);
      loadModel(model.config);
      const tokenizer = await model.loadTokenizer();
      tokenizeAll(tokenizer);
    },
  },
  pickle: { examples: [`${golden}/torch`], fileName: () => 'pytorch_model.bin', isText: false, read: readWeights },
  'tokenizer.json': {
    examples: [`${golden}/tiny-tokenizer/tokenizer.json`],
    fileName: own,
    isText: true,
    read: async file => {
      const tokenizer = createTokenizer({ source: file, files: await readTexts(dirname(file)) });
      tokenizeAll(tokenizer);
    },
  },
  sentencepiece: {
    examples: [`${golden}/llama_torch/tokenizer.model`, `${golden}/vocabularies/xlm-roberta/sentencepiece.bpe.model`],
    fileName: () => 'tokenizer.model',
    isText: false,
    read: async file => {
      const files = await readTexts(dirname(file));
      const built = await buildTokenizer(dirname(file), files, { model_type: 'llama' });
      const tokenizer = createTokenizer({ source: file, files, built });
      tokenizeAll(tokenizer);
    },
  },
  recipe: {
    examples: ['examples', 'examples/paper/table-3', 'test/hostile/corpus/recipe'],
    fileName: () => 'a.rowtune.yaml',
    isText: true,
    read: file => lintDocument({ text: readFileSync(file, 'utf8'), file }, linting),
  },
  'recipe as JSON': {
    examples: ['test/hostile/corpus/recipe-json'],
    fileName: () => 'a.rowtune.json',
    isText: true,
    read: file => lintDocument({ text: readFileSync(file, 'utf8'), file }, linting),
  },
  'config.json': {
    examples: ['llama', 'qwen2', 'bert', 'deberta', 'vit', 'resnet', 'mistral_window'].map(name => `${golden}/${name}/config.json`),
    fileName: own,
    isText: true,
    read: async file => loadModel(await readConfigFile(file)),
  },
  'adapter_config.json': {
    examples: [`${golden}/peft/vit_dora/adapter_config.json`, `${golden}/llama_lora_adapter/adapter_config.json`],
    fileName: own,
    isText: true,
    read: async file => (await readAdapter(dirname(file))).close(),
  },
  parquet: {
    examples: ['test/unit/data/fixtures', 'test/hostile/corpus/parquet'],
    fileName: () => 'a.parquet',
    isText: false,
    read: file => readRows(file, '.parquet', false),
  },
  arrow: {
    examples: ['test/unit/data/fixtures/arrow/saved/data-00000-of-00001.arrow', 'test/unit/data/fixtures/arrow/feather.arrow'],
    fileName: () => 'a.arrow',
    isText: false,
    read: file => readRows(file, '.arrow', false),
  },
  jsonl: {
    examples: ['test/hostile/corpus/jsonl'],
    fileName: () => 'a.jsonl',
    isText: true,
    read: file => readRows(file, '.jsonl', false),
  },
  csv: { examples: ['test/hostile/corpus/csv'], fileName: () => 'a.csv', isText: true, read: file => readRows(file, '.csv', false) },
  image: {
    examples: [`${golden}/image_preprocessing/picture.png`, 'test/hostile/corpus/image'],
    fileName: example => join('cat', basename(example)),
    isText: false,
    read: async file => {
      const folder = dirname(dirname(file));
      const { samples } = await listImages({ paths: [folder], columns: {}, labels: [], seed: 1 });
      await checkImages(samples, () => undefined);
      const into = new Float32Array(16 * 16 * 3);
      for (const sample of samples)
        await loadImage({ sample, preprocessing, channels: 3, augment: ['crop', 'flip'], random: createRandom(1), into });
    },
  },
  'state.json': {
    examples: ['test/hostile/corpus/state'],
    fileName: () => 'state.json',
    isText: true,
    read: file => readRunState(dirname(file)),
  },
  'metrics.jsonl': {
    examples: ['test/hostile/corpus/metrics'],
    fileName: () => 'metrics.jsonl',
    isText: true,
    read: file => readMetrics(dirname(file)),
  },
};

/** Returns the example files of a format. */
export function examplesOf(root: string, { examples }: Format, extension?: string): string[] {
  return examples.flatMap(example => {
    const full = join(root, example);
    if (/\.\w+$/.test(basename(example))) return [full];
    return readdirSync(full, { withFileTypes: true })
      .filter(
        entry =>
          entry.isFile() &&
          !/\.(py|md|json)$/.test(entry.name.replace(/\.rowtune\.json$/, '')) &&
          (extension === undefined || entry.name.endsWith(extension)),
      )
      .map(({ name }) => join(full, name))
      .sort();
  });
}
