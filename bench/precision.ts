/** The effect of fewer bits on a run: the held-out loss over 200 steps, and the memory of bfloat16, quantized bases and 8-bit moments. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { TrainResult } from '../trainer/handlers/train/train-run.ts';
import { messageOf } from '../trainer/protocol/error-facts.ts';
import { readMetrics } from '../trainer/run/metrics-file.ts';
import { chart } from './chart.ts';
import { Clock, log, minutes } from './measurements.ts';
import type { PartContext } from './part.ts';
import { type Facts, factLines, megabytes, table } from './report.ts';
import { coreSets, runPinned } from './run-side.ts';

/** The settings of one run, added to those that all runs share. */
export interface PrecisionCase {
  readonly name: string;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly color: string;
}

/** The precision with which the others are compared. */
export const REFERENCE = 'float32';
/** The same samples in another order, to show how much two runs of equal precision differ. */
export const NOISE = 'float32, other order';

const SPSFT = { method: 'spsft', r: 32 };
const LORA = { method: 'lora', r: 16 };

export const PRECISION_CASES: readonly PrecisionCase[] = [
  { name: REFERENCE, settings: SPSFT, color: '#000000' },
  { name: 'bfloat16', settings: { ...SPSFT, dtype: 'bfloat16' }, color: '#0072b2' },
  { name: NOISE, settings: { ...SPSFT, seed: 2 }, color: '#999999' },
  { name: 'int8 base', settings: { ...SPSFT, quantize: 'int8' }, color: '#009e73' },
  { name: 'nf4 base', settings: { ...SPSFT, quantize: 'nf4' }, color: '#d55e00' },
  { name: 'LoRA', settings: LORA, color: '#cc79a7' },
  { name: 'LoRA, 8-bit Adam', settings: { ...LORA, optim: 'adamw_8bit' }, color: '#e69f00' },
  { name: 'full', settings: { method: 'full', learning_rate: 2e-5 }, color: '#56b4e9' },
  { name: 'full, 8-bit Adam', settings: { method: 'full', learning_rate: 2e-5, optim: 'adamw_8bit' }, color: '#f0e442' },
];

/** Training steps between evaluations; `--steps` sets the number of evaluations. */
const STEPS_BETWEEN = 40;
/** Number of held-out documents. */
const HELD_OUT = 8;
const TOKENS = 128;
/** Estimated seconds per step on one core, including evaluations. */
const GUESSED_SECONDS_PER_STEP = 0.9;

export interface PrecisionResult {
  readonly name: string;
  /** Held-out loss by step. */
  readonly losses: readonly { readonly step: number; readonly loss: number }[];
  readonly secondsPerStep: number;
  /** Memory of inference, and what training adds to it. */
  readonly modelBytes: number;
  readonly trainingBytes: number;
}

/** Mean distance of two curves at their common steps, without the start. */
export function distance(a: PrecisionResult, b: PrecisionResult): number {
  const gaps = a.losses.flatMap(({ step, loss }) => {
    const other = b.losses.find(one => one.step === step);
    return step > 0 && other ? [Math.abs(loss - other.loss)] : [];
  });
  return gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
}

const recipeOf = (context: PartContext, files: DataFiles): string => `model: ${JSON.stringify(context.sources.smollm2)}
data: { train: ${JSON.stringify(files.train)}, eval: ${JSON.stringify(files.heldOut)}, format: text }
max_length: ${TOKENS}
packing: true
per_device_train_batch_size: 1
per_device_eval_batch_size: 1
max_steps: ${context.steps * STEPS_BETWEEN}
learning_rate: 1.0e-4
lr_scheduler_type: constant
recompute: cheap
eval_strategy: steps
eval_steps: ${STEPS_BETWEEN}
logging_steps: ${STEPS_BETWEEN}
save_strategy: 'no'
threads: ${context.threads}
seed: 1
`;

interface DataFiles {
  readonly train: string;
  readonly heldOut: string;
}

async function splitTexts(source: string, folder: string): Promise<DataFiles> {
  const lines = (await readFile(source, 'utf8')).trim().split('\n');
  const files = { train: path.join(folder, 'train.jsonl'), heldOut: path.join(folder, 'held-out.jsonl') };
  await writeFile(files.train, `${lines.slice(HELD_OUT).join('\n')}\n`);
  await writeFile(files.heldOut, `${lines.slice(0, HELD_OUT).join('\n')}\n`);
  return files;
}

async function runCase(context: PartContext, recipe: string, one: PrecisionCase, cores: readonly number[]): Promise<PrecisionResult> {
  const runDir = path.join(path.dirname(recipe), one.name.replaceAll(/[^a-z0-9]+/gi, '-'));
  const settings = { ...one.settings, output_dir: runDir, overwrite_output_dir: true };
  const command = [process.execPath, path.join(context.root, 'bin', 'rowtune.mjs'), 'train', recipe, '--json'];
  const overrides = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  const result = await runPinned<TrainResult>([...command, ...overrides], cores, {});
  const evaluated = (await readMetrics(runDir)).flatMap(({ step, eval_loss: loss }) =>
    step !== undefined && loss !== undefined ? [{ step, loss }] : [],
  );
  return {
    name: one.name,
    losses: result.before ? [{ step: 0, loss: result.before.loss }, ...evaluated.filter(({ step }) => step > 0)] : evaluated,
    secondsPerStep: result.secondsPerStep ?? Number.NaN,
    modelBytes: result.memory?.mem_M ?? Number.NaN,
    trainingBytes: result.memory?.mem ?? Number.NaN,
  };
}

/** The float32 run of the same method, with which a run is compared. */
export const referenceOf = (name: string): string => (name.endsWith(', 8-bit Adam') ? name.slice(0, -', 8-bit Adam'.length) : REFERENCE);

export function precisionMarkdown(results: readonly PrecisionResult[], { facts, steps, threads, notes }: PrecisionFacts): string {
  const find = (name: string): PrecisionResult | undefined => results.find(one => one.name === name);
  const [reference, noise] = [find(REFERENCE), find(NOISE)];
  const spread = reference && noise ? distance(noise, reference) : undefined;
  const lines = results.map(one => {
    const own = find(referenceOf(one.name));
    const apart = own && own !== one && !['LoRA', 'full'].includes(one.name) ? distance(one, own) : undefined;
    return [
      one.name,
      (one.losses[0]?.loss ?? Number.NaN).toFixed(3),
      (one.losses.at(-1)?.loss ?? Number.NaN).toFixed(3),
      apart === undefined ? '–' : apart.toFixed(4),
      one.secondsPerStep.toFixed(2),
      megabytes(one.modelBytes),
      megabytes(one.trainingBytes),
    ];
  });
  const half = find('bfloat16');
  const verdict =
    half && reference && spread !== undefined
      ? `bfloat16 lies ${distance(half, reference).toFixed(4)} nats from float32 in the mean, another order of the samples ${spread.toFixed(4)}: ${distance(half, reference) <= spread ? 'within noise' : 'beyond noise'}.`
      : '';
  return `# Losses and memory of fewer bits

Written by \`npm run bench -- --part precision\`: SmolLM2-135M continues
pre-training on mails, ${steps} steps of ${TOKENS} tokens with \`rowtune train\`, on ${threads} core${threads > 1 ? 's' : ''}. The loss is that of ${HELD_OUT}
held-out mails, in nats per token. "apart" is the mean distance of the curve from that of the same
method in float32 (for 8-bit Adam: from float32 moments). MiB is the memory of inference, and of
training above it. The machine may have had other work, so seconds are approximate.

${factLines(facts)}

${verdict}

![Held-out loss by step](precision.svg)

${table(['', 'loss before', 'after', 'apart', 's/step', 'inference, MiB', 'training, MiB'], lines)}
${notes.length > 0 ? `\n## Doubts\n\n${notes.map(note => `- ${note}`).join('\n')}\n` : ''}`;
}

export interface PrecisionFacts {
  readonly facts: Facts;
  readonly steps: number;
  readonly threads: number;
  readonly notes: readonly string[];
}

export function precisionPicture(results: readonly PrecisionResult[]): string {
  const series = (names: (name: string) => boolean) =>
    results
      .filter(({ name }) => names(name))
      .map(({ name, losses }) => ({
        name,
        color: PRECISION_CASES.find(one => one.name === name)?.color ?? '#666',
        line: name === NOISE ? ('dashed' as const) : ('solid' as const),
        hollow: false,
        points: losses.map(({ step, loss }) => ({ x: step, y: loss, marker: 'circle' as const })),
      }));
  const isAdam = (name: string): boolean => /LoRA|full/.test(name);
  const axes = { x: { label: 'step', scale: 'linear' }, y: { label: 'held-out loss, nats', scale: 'linear', fromZero: false } } as const;
  return chart({
    title: 'Held-out loss with fewer bits',
    panels: [
      { title: 'SPSFT', ...axes, series: series(name => !isAdam(name)) },
      { title: '8-bit Adam', ...axes, series: series(isAdam) },
    ],
    markers: [],
  });
}

/** @returns false if a run failed */
export async function runPrecision(context: PartContext): Promise<boolean> {
  const { facts, threads, jobs, results, steps } = context;
  const folder = path.join(context.cacheDir, 'bench', 'precision');
  await mkdir(folder, { recursive: true });
  const recipe = path.join(folder, 'recipe.rowtune.yaml');
  await writeFile(recipe, recipeOf(context, await splitTexts(context.texts, folder)));
  const all = steps * STEPS_BETWEEN;
  const clock = new Clock(PRECISION_CASES.length * all * GUESSED_SECONDS_PER_STEP, jobs);
  log(`precision: ${PRECISION_CASES.length} runs of ${all} steps, about ${minutes(clock.left())}`);
  const found: PrecisionResult[] = [];
  const notes: string[] = [];
  const queue = [...PRECISION_CASES];
  const work = async (cores: readonly number[]): Promise<void> => {
    for (let one = queue.shift(); one; one = queue.shift()) {
      try {
        const result = await runCase(context, recipe, one, cores);
        found.push(result);
        log(
          `${one.name.padEnd(24)} loss ${result.losses.map(({ loss }) => loss.toFixed(3)).join(' ')}  training ${megabytes(result.trainingBytes)} MiB`,
        );
      } catch (error) {
        const note = `${one.name}: ${messageOf(error)}`;
        notes.push(note);
        log(note);
      }
      clock.advance(all * GUESSED_SECONDS_PER_STEP);
      log(`  ${minutes(clock.left())} left`);
    }
  };
  await Promise.all(coreSets(threads, jobs).map(work));
  const inOrder = PRECISION_CASES.flatMap(({ name }) => found.filter(one => one.name === name));
  await writeFile(path.join(results, 'precision.md'), precisionMarkdown(inOrder, { facts, steps: all, threads, notes }));
  await writeFile(path.join(results, 'precision.svg'), precisionPicture(inOrder));
  await writeFile(path.join(results, 'precision.json'), `${JSON.stringify({ facts, threads, steps: all, results: inOrder })}\n`);
  log('wrote precision.md, .svg and .json');
  return notes.length === 0;
}
