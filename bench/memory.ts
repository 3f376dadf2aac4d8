/** Memory predicted and measured, over methods, levels and families: `npm run bench -- --memory`. Each configuration is a process of its own. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { EngineName } from '../trainer/engine/engine.ts';
import { runCommand } from '../trainer/engine/install/run-command.ts';
import { WORKER_FLAGS, workerEnvironment } from '../trainer/engine/tensorflow/environment.ts';
import { codeBytes } from '../trainer/plan/memory/engine-overhead.ts';
import { messageOf } from '../trainer/protocol/error-facts.ts';
import { benchConfigs } from './bench-models.ts';
import { type Config, decoderModels, familyModels, goldenConfig, miniLm, smallLlama, smolLm2 } from './memory-models.ts';
import type { MemoryStepRequest } from './memory-step.ts';
import { writePaperMemory } from './paper-memory.ts';
import { median } from './run-side.ts';

export interface MemoryBenchParams {
  readonly root: string;
  readonly cacheDir: string;
  readonly json: boolean;
  /** Tiny models and MiniLM alone; writes no files. */
  readonly quick: boolean;
  /** Rows with this in their model, engine or recipe are measured; the results have the others as they were. Left out: all. */
  readonly only?: string | undefined;
}

interface MemoryCase {
  readonly model: string;
  readonly config: Config;
  readonly task: string;
  readonly recipe: string;
  readonly engine: EngineName;
  readonly steps?: number;
}

interface MemoryRow {
  readonly model: string;
  readonly engine: EngineName;
  readonly recipe: string;
  readonly predictedBytes: number;
  readonly measuredBytes: number;
  /** predicted / measured − 1. */
  readonly error: number;
  /** Resident after the last step, less that after the tenth; of long runs. */
  readonly grownBytes?: number;
}

/** Steps of each process: the first compiles, and the peak of the second is that of all others. */
const STEPS = 3;
/** Steps of tiny models, whose memory is mostly that of JavaScript: it settles later. */
const STEPS_OF_TINY = 20;
/** Steps of the long run, and what it may end with more than it had after ten. */
const LONG_STEPS = 1000;
const MOST_GROWTH_BYTES = 8e6;
/** The project's own goals for the prediction. */
const WORST_ERROR = 0.1;
const MEDIAN_ERROR = 0.05;

/** Methods, and what can be said of any of them, at MiniLM's size. */
const VARIANTS: readonly string[] = [
  'method: spsft; r: 8',
  'ratio: 0.05',
  'r: 8; dependencies: true',
  'method: spsft+lora; r: 8',
  'method: lora; r: 8; lora_dropout: 0.1',
  'method: lora; r: 8',
  'method: dora; r: 8',
  'method: rosa; r: 8',
  'method: vera; r: 64',
  'method: bitfit',
  'method: head',
  'method: full',
  'r: 8; gradient_accumulation_steps: 4',
  'r: 8; max_grad_norm: 0',
  'method: full; gradient_accumulation_steps: 2',
  'method: full; max_grad_norm: 0',
  'method: full; optim: adamw_8bit',
  'method: full; optimizer_offload: disk',
  'r: 8; dtype: bfloat16',
  'method: lora; r: 8; dtype: bfloat16',
  'r: 8; quantize: nf4',
  'method: lora; r: 8; quantize: int8',
  'method: lora; r: 8; quantize: nf4; dtype: bfloat16; optim: adamw_8bit',
  // Evaluation takes more than training.
  'r: 8; per_device_eval_batch_size: 64',
];

/** Tokens of a sample, by the task. */
const lengths = { causal_lm: 'max_length: 256; ', sequence_classification: 'max_length: 128; ', image_classification: '' } as const;
const inSmallBatches = 'per_device_train_batch_size: 2; per_device_eval_batch_size: 2';

type CaseOf = (recipe: string, engine?: EngineName) => MemoryCase;

function cases({ root, quick }: MemoryBenchParams): MemoryCase[] {
  const of =
    (model: string, config: Config, task: string, settings: string): CaseOf =>
    (recipe, engine = 'tensorflow') => ({ model, config, task, recipe: settings ? `${recipe}; ${settings}` : recipe, engine });
  const tiny = (name: string, task: string, settings = ''): CaseOf => {
    const ofTiny = of(`tiny ${name}`, goldenConfig(root, name), task, settings);
    return (recipe, engine) => ({ ...ofTiny(recipe, engine), steps: STEPS_OF_TINY });
  };
  const [tinyLlama, tinyVit] = [tiny('llama', 'causal_lm', 'max_length: 16'), tiny('vit', 'image_classification')];
  const ofMiniLm = of('MiniLM', miniLm, 'sequence_classification', 'max_length: 128; per_device_train_batch_size: 8');
  const shortMiniLm = of(
    'MiniLM',
    miniLm,
    'sequence_classification',
    'recompute: none; max_length: 32; per_device_train_batch_size: 4; per_device_eval_batch_size: 4',
  );
  const ofSmallLlama = of('small Llama', smallLlama, 'causal_lm', `max_length: 128; ${inSmallBatches}`);
  const ofSmolLm2 = of('SmolLM2-135M', smolLm2, 'causal_lm', `max_length: 256; ${inSmallBatches}`);
  const ofDeberta = of('DeBERTa-base', benchConfigs.deberta, 'sequence_classification', `max_length: 128; ${inSmallBatches}`);
  const ofVitSmall = of(
    'ViT-small',
    benchConfigs.vit,
    'image_classification',
    'per_device_train_batch_size: 4; per_device_eval_batch_size: 4',
  );
  const ofResNet = of('ResNet-50', benchConfigs.resnet, 'image_classification', inSmallBatches);
  const long = 'r: 2; gradient_accumulation_steps: 2; recompute: none';
  const ofSentences = (batch: number, settings = ''): MemoryCase =>
    of(
      'MiniLM embeddings',
      miniLm,
      'embedding',
      '',
    )(`r: 8; recompute: cheap; max_length: 64; per_device_train_batch_size: ${batch}${settings}`);
  const inMiniBatches = '; embedding: {mini_batch_size: 16}';
  const small: MemoryCase[] = [
    { ...tinyLlama(long), steps: LONG_STEPS },
    { ...tinyLlama(long, 'portable'), steps: LONG_STEPS },
    tinyLlama('r: 2; recompute: none'),
    tinyLlama('method: lora; r: 2; lora_dropout: 0.1; recompute: block'),
    tiny('bert', 'sequence_classification', 'max_length: 16')('r: 2; recompute: none'),
    tiny('deberta', 'sequence_classification', 'max_length: 16')('r: 2; recompute: none'),
    tinyVit('r: 2; recompute: none'),
    tiny('resnet', 'image_classification')('r: 2; recompute: none'),
    tinyLlama('r: 2; recompute: none', 'portable'),
    tinyVit('r: 2; recompute: none', 'portable'),
    ...VARIANTS.map(variant => ofMiniLm(`${variant}; recompute: cheap`)),
    ofMiniLm('r: 8; recompute: none'),
    ofMiniLm('r: 8; recompute: block'),
    ...[16, 64, 256].map(batch => ofSentences(batch)),
    ...[64, 256, 1024].map(batch => ofSentences(batch, inMiniBatches)),
    ofSentences(64, '; embedding: {mini_batch_size: 12, loss_type: symmetric, negatives: 1, matryoshka_dims: [384, 128]}; method: lora'),
    of(
      'small Llama, distilled',
      smallLlama,
      'distillation',
      `max_length: 256; ${inSmallBatches}`,
    )('method: lora; r: 8; recompute: cheap; distillation: {logits: teacher.safetensors, top_k: 32}'),
    shortMiniLm('r: 8', 'portable'),
    shortMiniLm('method: lora; r: 8; lora_dropout: 0.1', 'portable'),
    shortMiniLm('method: full', 'portable'),
    ofSmallLlama('method: full; recompute: block', 'portable'),
    ofSmallLlama('method: lora; r: 8; dtype: bfloat16; recompute: none', 'portable'),
  ];
  if (quick) return small;
  const levels = ['none', 'cheap', 'block', 'sqrt'].flatMap(level =>
    ['r: 32', 'method: lora; r: 16; lora_dropout: 0.1', 'method: full'].map(method => ofSmolLm2(`${method}; recompute: ${level}`)),
  );
  const familyCases = Object.entries({ ...decoderModels, ...familyModels }).flatMap(([model, { config, task }]) => {
    const ofFamily = of(model, config, task, `${lengths[task]}${inSmallBatches}`);
    return [ofFamily('r: 8; recompute: cheap'), ofFamily('method: lora; r: 8; recompute: none')];
  });
  return [
    ...small,
    ...levels,
    ofSmolLm2('method: full; optimizer_offload: disk; recompute: block'),
    ofSmolLm2('method: lora; r: 16; recompute: cheap'),
    ofSmolLm2('method: lora; r: 16; optim: adamw_8bit; recompute: cheap'),
    ofSmolLm2('method: dora; r: 16; lora_dropout: 0.1; recompute: cheap'),
    ofSmolLm2('r: 32; dtype: bfloat16; recompute: block'),
    ofSmolLm2('method: lora; r: 16; quantize: nf4; recompute: block'),
    of(
      'SmolLM2-135M',
      smolLm2,
      'causal_lm',
      'max_length: 2048; per_device_train_batch_size: 1; per_device_eval_batch_size: 1',
    )('r: 32; recompute: block'),
    ofDeberta('r: 8; recompute: cheap'),
    ofDeberta('method: lora; r: 8; recompute: block'),
    ofVitSmall('r: 8; recompute: cheap'),
    ofVitSmall('method: lora; r: 8; recompute: none'),
    ofResNet('r: 8; recompute: cheap'),
    ofResNet('r: 8; dtype: bfloat16; recompute: cheap'),
    ofResNet('ratio: 0.05; dependencies: true; recompute: none'),
    ...familyCases,
  ];
}

/** @throws Error with what the process said, where it fails */
async function measureCase(
  { model, config, task, recipe, engine, steps = STEPS }: MemoryCase,
  { cacheDir }: MemoryBenchParams,
): Promise<MemoryRow> {
  const lines = `task: ${task}\n${recipe.replaceAll('; ', '\n')}\n`;
  const request: MemoryStepRequest = { cacheDir, engine, config, recipe: lines, steps };
  let line: string | undefined;
  const script = path.join(import.meta.dirname, 'memory-step.mjs');
  const { status, output } = await runCommand(process.execPath, [...WORKER_FLAGS, script, JSON.stringify(request)], {
    env: workerEnvironment({ threads: 1 }),
    onLine: text => {
      if (text.startsWith('{')) line = text;
    },
  });
  if (status !== 0 || line === undefined)
    throw new Error(`${model}, ${recipe}: failed with status ${status}:\n${output.trim().slice(-1000)}`);
  // The line that memory-step.ts prints.
  const { predictedBytes, measuredBytes, grownBytes } = JSON.parse(line) as Pick<
    MemoryRow,
    'predictedBytes' | 'measuredBytes' | 'grownBytes'
  >;
  return { model, engine, recipe, predictedBytes, measuredBytes, grownBytes, error: predictedBytes / measuredBytes - 1 };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
const percent = (share: number): string => `${share >= 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)}%`;

function markdown(rows: readonly MemoryRow[], summary: string): string {
  const cells = rows.map(
    ({ model, engine, recipe, predictedBytes, measuredBytes, error }) =>
      `| ${model} | ${engine} | ${recipe} | ${megabytes(predictedBytes)} | ${megabytes(measuredBytes)} | ${percent(error)} |`,
  );
  return `# Memory: predicted from headers, measured in the process

\`npm run bench -- --memory\`. Peak resident memory of ${STEPS} steps (${STEPS_OF_TINY} of tiny models) with one evaluation and one save before them, in MB.
Pages of code are left out on both sides: they are read from files, the system drops them at will, and how many are resident depends on what
it has cached (Node's and TensorFlow's: 320 to 370 MB). The estimate counts ${megabytes(codeBytes('tensorflow'))} MB for them (portable engine: ${megabytes(codeBytes('portable'))}).

${summary}

| model | engine | recipe | predicted | measured | error |
| --- | --- | --- | ---: | ---: | ---: |
${cells.join('\n')}
`;
}

const keyOf = ({ model, engine, recipe }: Pick<MemoryRow, 'model' | 'engine' | 'recipe'>): string => [model, engine, recipe].join(' · ');

const lastRows = async (folder: string): Promise<readonly MemoryRow[]> =>
  // A file that this part wrote.
  (JSON.parse(await readFile(path.join(folder, 'memory.json'), 'utf8')) as { readonly rows: readonly MemoryRow[] }).rows;

/** @returns false where a process failed or the prediction misses its goal */
export async function runMemoryBench(params: MemoryBenchParams): Promise<boolean> {
  const planned = cases(params);
  const folder = path.join(params.root, 'bench', 'results');
  const measured = new Map<string, MemoryRow>();
  let failed = 0;
  for (const one of planned) {
    if (params.only !== undefined && !keyOf(one).includes(params.only)) continue;
    try {
      const row = await measureCase(one, params);
      measured.set(keyOf(row), row);
      console.error(
        `${row.model}, ${row.engine}, ${row.recipe}: ${megabytes(row.predictedBytes)} MB predicted, ${megabytes(row.measuredBytes)} measured, ${percent(row.error)}`,
      );
    } catch (error) {
      failed++;
      console.error(messageOf(error));
    }
  }
  // Read at the end, since another process may have measured other models.
  const kept = new Map((params.only === undefined ? [] : await lastRows(folder)).map(row => [keyOf(row), row]));
  const rows = planned.flatMap(one => measured.get(keyOf(one)) ?? kept.get(keyOf(one)) ?? []);
  const errors = rows.map(({ error }) => Math.abs(error));
  const [worst, middle] = [Math.max(0, ...errors), errors.length > 0 ? median(errors) : 0];
  const grownBy = rows.flatMap(({ grownBytes }) => (grownBytes === undefined ? [] : [grownBytes]));
  const grown = grownBy.length > 0 ? Math.max(...grownBy) : Number.POSITIVE_INFINITY;
  const summary = `${rows.length} configurations: error ${(100 * middle).toFixed(1)}% in the median (goal: ${100 * MEDIAN_ERROR}%), ${(100 * worst).toFixed(1)}% at worst (goal: ${100 * WORST_ERROR}%). Runs of ${LONG_STEPS} steps end with at most ${(grown / 1e6).toFixed(1)} MB more than they had after ten.`;
  console.error(summary);
  if (!params.quick) {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'memory.md'), markdown(rows, summary));
    await writeFile(path.join(folder, 'memory.json'), `${JSON.stringify({ median: middle, worst, rows }, null, 2)}\n`);
    await writePaperMemory(folder);
  }
  if (params.json) console.log(JSON.stringify({ median: middle, worst, rows }));
  return failed === 0 && grown <= MOST_GROWTH_BYTES && worst <= WORST_ERROR && middle <= MEDIAN_ERROR;
}
