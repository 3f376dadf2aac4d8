/** Memory predicted and measured, over methods, levels and families: `npm run bench -- --memory`. Each configuration is a process of its own. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { EngineName } from '../trainer/engine/engine.ts';
import { runCommand } from '../trainer/engine/install/run-command.ts';
import { WORKER_FLAGS, workerEnvironment } from '../trainer/engine/tensorflow/environment.ts';
import { type Config, goldenConfig, miniLm, smolLm2 } from './memory-models.ts';
import type { MemoryStepRequest } from './memory-step.ts';
import { writePaperMemory } from './paper-memory.ts';
import { median } from './run-side.ts';

export interface MemoryBenchParams {
  readonly root: string;
  readonly cacheDir: string;
  readonly json: boolean;
  /** Tiny models and MiniLM alone; writes no files. */
  readonly quick: boolean;
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
/** Steps of the long run, and what it may end with more than it had after ten. */
const LONG_STEPS = 1000;
const MOST_GROWTH_BYTES = 8e6;
/** The project's own goals for the prediction. */
const WORST_ERROR = 0.1;
const MEDIAN_ERROR = 0.05;

const METHODS: readonly string[] = [
  'method: spsft; r: 8',
  'method: lora; r: 8; lora_dropout: 0.1',
  'method: lora; r: 8',
  'method: dora; r: 8',
  'method: head',
  'method: full',
];

function cases({ root, quick }: MemoryBenchParams): MemoryCase[] {
  const tiny = (name: string, task: string, recipe: string, engine: EngineName = 'tensorflow'): MemoryCase => ({
    model: `tiny ${name}`,
    config: goldenConfig(root, name),
    task,
    recipe,
    engine,
  });
  const ofMiniLm = (recipe: string, engine: EngineName = 'tensorflow'): MemoryCase => ({
    model: 'MiniLM',
    config: miniLm,
    task: 'sequence_classification',
    recipe: `${recipe}; max_length: 128; per_device_train_batch_size: 8`,
    engine,
  });
  const ofSmolLm2 = (recipe: string): MemoryCase => ({
    model: 'SmolLM2-135M',
    config: smolLm2,
    task: 'causal_lm',
    recipe: `${recipe}; max_length: 256; per_device_train_batch_size: 2; per_device_eval_batch_size: 2`,
    engine: 'tensorflow',
  });
  const small: MemoryCase[] = [
    { ...tiny('llama', 'causal_lm', 'r: 2; max_length: 16; gradient_accumulation_steps: 2; recompute: none'), steps: LONG_STEPS },
    tiny('llama', 'causal_lm', 'r: 2; max_length: 16; recompute: none'),
    tiny('llama', 'causal_lm', 'method: lora; r: 2; lora_dropout: 0.1; max_length: 16; recompute: block'),
    tiny('bert', 'sequence_classification', 'r: 2; max_length: 16; recompute: none'),
    tiny('vit', 'image_classification', 'r: 2; recompute: none'),
    tiny('resnet', 'image_classification', 'r: 2; recompute: none'),
    tiny('llama', 'causal_lm', 'r: 2; max_length: 16; recompute: none', 'portable'),
    tiny('vit', 'image_classification', 'r: 2; recompute: none', 'portable'),
    ...METHODS.map(method => ofMiniLm(`${method}; recompute: cheap`)),
    ofMiniLm('r: 8; recompute: none'),
    ofMiniLm('r: 8; recompute: block'),
    ofMiniLm('r: 8; recompute: none', 'portable'),
  ];
  if (quick) return small;
  const levels = ['none', 'cheap', 'block', 'sqrt'].flatMap(level =>
    ['r: 32', 'method: lora; r: 16; lora_dropout: 0.1', 'method: full'].map(method => ofSmolLm2(`${method}; recompute: ${level}`)),
  );
  return [
    ...small,
    ...levels,
    ofSmolLm2('method: lora; r: 16; recompute: cheap'),
    ofSmolLm2('method: dora; r: 16; lora_dropout: 0.1; recompute: cheap'),
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

\`npm run bench -- --memory\`. Peak resident memory of ${STEPS} steps with one evaluation and one save before them, in MB.

${summary}

| model | engine | recipe | predicted | measured | error |
| --- | --- | --- | ---: | ---: | ---: |
${cells.join('\n')}
`;
}

/** @returns false where a process failed or the prediction misses its goal */
export async function runMemoryBench(params: MemoryBenchParams): Promise<boolean> {
  const rows: MemoryRow[] = [];
  let failed = 0;
  for (const one of cases(params)) {
    try {
      const row = await measureCase(one, params);
      rows.push(row);
      console.error(
        `${row.model}, ${row.engine}, ${row.recipe}: ${megabytes(row.predictedBytes)} MB predicted, ${megabytes(row.measuredBytes)} measured, ${percent(row.error)}`,
      );
    } catch (error) {
      failed++;
      console.error((error as Error).message);
    }
  }
  const errors = rows.map(({ error }) => Math.abs(error));
  const [worst, middle] = [Math.max(0, ...errors), errors.length > 0 ? median(errors) : 0];
  const grown = rows.find(({ grownBytes }) => grownBytes !== undefined)?.grownBytes ?? Number.POSITIVE_INFINITY;
  const summary = `${rows.length} configurations: error ${(100 * middle).toFixed(1)}% in the median (goal: ${100 * MEDIAN_ERROR}%), ${(100 * worst).toFixed(1)}% at worst (goal: ${100 * WORST_ERROR}%). A run of ${LONG_STEPS} steps ends with ${(grown / 1e6).toFixed(1)} MB more than it had after ten.`;
  console.error(summary);
  if (!params.quick) {
    const folder = path.join(params.root, 'bench', 'results');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'memory.md'), markdown(rows, summary));
    await writeFile(path.join(folder, 'memory.json'), `${JSON.stringify({ median: middle, worst, rows }, null, 2)}\n`);
    await writePaperMemory(folder);
  }
  if (params.json) console.log(JSON.stringify({ median: middle, worst, rows }));
  return failed === 0 && grown <= MOST_GROWTH_BYTES && worst <= WORST_ERROR && middle <= MEDIAN_ERROR;
}
