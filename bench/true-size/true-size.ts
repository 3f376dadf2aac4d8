/** Measures one step of the paper's models at true size: our bfloat16 and quantized bases, next to PEFT's LoRA on the same weights. */

import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { availableMemoryBytes, freeDiskBytes } from '../../trainer/machine/machine.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { codeHash, log, MeasurementStore } from '../measurements.ts';
import { paperModels } from '../memory/memory-models.ts';
import type { PartContext } from '../part.ts';
import { type Facts, factLines, table } from '../report.ts';
import { coresFor, median, peerArguments, runOurs, runTheirs } from '../run-side.ts';
import { layersThatFit, writeSyntheticFolder } from './synthetic-folder.ts';
import type { TrueSizeRequest, TrueSizeScores, TrueSizeStep } from './true-size-step.ts';

const MODELS = ['Llama-2-7B', 'Llama-3-8B'] as const;
type ModelName = (typeof MODELS)[number];

/** The script of our side. */
const SCRIPT = 'true-size-step.mjs';

const TOKENS = 512;
/** Steps per process; the first is a warm-up. */
const STEPS = 2;
/** Bytes beyond the weights for the largest configuration: factors, their gradients and moments, and the activations of a block. */
const BESIDE_WEIGHTS = 4e9;

const RECIPE = `per_device_train_batch_size: 1
per_device_eval_batch_size: 1
max_length: ${TOKENS}
dtype: bfloat16
recompute: block
max_grad_norm: 0
`;

interface Ours {
  readonly name: string;
  readonly recipe: string;
  readonly measure?: TrueSizeRequest['measure'];
}

const spsft = 'method: spsft\nr: 128\n';
const lora = 'method: lora\nr: 64\nlora_dropout: 0\n';
const nf4 = 'quantize: nf4\n';

const OURS: readonly Ours[] = [
  { name: 'Rowtune SPSFT r 128, bfloat16', recipe: spsft },
  { name: 'Rowtune LoRA r 64, bfloat16', recipe: lora },
  { name: 'Rowtune SPSFT r 128, nf4', recipe: spsft + nf4 },
  { name: 'Rowtune LoRA r 64, nf4', recipe: lora + nf4 },
];
const SCORES: readonly Ours[] = [
  { name: 'taylor_row, bfloat16', recipe: spsft, measure: 'taylor_row' },
  { name: 'taylor_row, nf4', recipe: spsft + nf4, measure: 'taylor_row' },
];
const THEIRS = 'PEFT LoRA r 64, bfloat16, checkpointing';
const THEIR_STEP = { method: 'lora', r: 64, dropout: 0, setting: 'checkpointing', batch: 1, tokens: TOKENS, dtype: 'bfloat16' } as const;

/** Measurements that a process of PyTorch's side reports about itself. */
interface PeerStep {
  readonly trainable: number;
  readonly stepSeconds: readonly number[];
  readonly firstStepSeconds: number;
  readonly peakBytes: number;
  readonly losses: readonly number[];
}

interface Row extends PeerStep {
  readonly model: ModelName;
  readonly name: string;
  /** Only on our side. */
  readonly ours?: TrueSizeStep;
}

interface ScoreRow extends TrueSizeScores {
  readonly model: ModelName;
  readonly name: string;
}

export interface TrueSizeResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly layers: Readonly<Partial<Record<ModelName, number>>>;
  readonly rows: readonly Row[];
  readonly scores: readonly ScoreRow[];
  readonly failures: readonly string[];
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);
const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;

function stepLine(row: Row, rows: readonly Row[]): string[] {
  const peer = rows.find(({ model, ours }) => model === row.model && !ours);
  const time = median(row.stepSeconds);
  const ratio = (own: number, of: number | undefined): string => (peer === row || of === undefined ? '–' : (own / of).toFixed(2));
  const { ours } = row;
  return [
    row.name,
    (row.trainable / 1e6).toFixed(1),
    time.toFixed(1),
    ratio(time, peer && median(peer.stepSeconds)),
    gigabytes(row.peakBytes),
    ratio(row.peakBytes, peer?.peakBytes),
    ours ? `${gigabytes(ours.predictedBytes)} / ${gigabytes(ours.measuredBytes)}` : '–',
    ours ? percent(ours.predictedBytes / ours.measuredBytes - 1) : '–',
    row.losses.map(loss => loss.toFixed(3)).join(', '),
  ];
}

const STEP_HEADER = [
  ...['', 'million trained', 's a step', 'of PEFT', 'peak, GB', 'of PEFT'],
  ...['predicted / measured, GB', 'difference', 'losses'],
];

function fileLine({ name, ours }: Row): string[] {
  if (!ours) return [];
  const { loadSeconds, firstStepSeconds, checkpoint } = ours;
  return [
    name,
    loadSeconds.toFixed(1),
    firstStepSeconds.toFixed(1),
    gigabytes(checkpoint.bytes),
    checkpoint.seconds.toFixed(1),
    (checkpoint.bytes / checkpoint.seconds / 1e9).toFixed(2),
  ];
}

const FILE_HEADER = ['', 'load, s', 'first step, s', 'checkpoint, GB', 's', 'GB/s'];

export function trueSizeMarkdown({ facts, threads, layers, rows, scores, failures }: TrueSizeResults): string {
  const parts = MODELS.filter(model => layers[model] !== undefined).map(model => {
    const own = rows.filter(row => row.model === model);
    const whole = layers[model] === paperModels[model].num_hidden_layers;
    const depth = whole ? '' : `, ${layers[model]} of ${paperModels[model].num_hidden_layers} layers`;
    const scored = scores.filter(row => row.model === model);
    const scoreTable = table(
      ['importance', 'rows', 's', 'peak, GB'],
      scored.map(({ name, rows: count, seconds, peakBytes }) => [name, String(count), seconds.toFixed(1), gigabytes(peakBytes)]),
    );
    return `## ${model}'s sizes${depth}

${table(
  STEP_HEADER,
  own.map(row => stepLine(row, rows)),
)}

${table(
  FILE_HEADER,
  own.map(fileLine).filter(line => line.length > 0),
)}
${scored.length > 0 ? `\n${scoreTable}\n` : ''}`;
  });
  return `# A step at true size

Written by \`npm run bench -- --part true-size\`: 1 × ${TOKENS} tokens, bfloat16 products, blocks computed again, all linear layers, AdamW, on
${threads} core${threads > 1 ? 's' : ''}. Weights are drawn by a seed into bfloat16 shards that both sides load. Each configuration is a process of its own that makes two
steps; the second is timed. "Peak" is the highest resident memory of the process from when the weights are loaded, its code included.
"Predicted / measured" is what \`rowtune estimate\` says next to the same peak without code. Importance looks at two samples of
${TOKENS} tokens, one at a time; its seconds include loading, its peak too. A checkpoint holds the trained numbers and both moments in
float32; its time is that of reading them from the engine and of writing them.

${factLines(facts)}

${parts.join('\n')}${failures.length > 0 ? `\n**Not measured.** ${failures.join('; ')}\n` : ''}`;
}

/** @returns false if something could not be measured */
export async function runTrueSize(context: PartContext): Promise<boolean> {
  const { facts, threads, results, cacheDir, brief } = context;
  const layersOf: Partial<Record<ModelName, number>> = {};
  const found: Found = { facts, threads, layers: layersOf, rows: [], scores: [], failures: [] };
  const folder = path.join(cacheDir, 'bench', 'true-size');
  await mkdir(folder, { recursive: true });
  const store = new MeasurementStore<object>(path.join(folder, 'measured.jsonl'), context.resume);
  const keep = async (): Promise<void> => {
    await writeFile(path.join(results, 'true-size.md'), trueSizeMarkdown(found));
    await writeFile(path.join(results, 'true-size.json'), `${JSON.stringify(found, null, 2)}\n`);
  };
  for (const model of brief ? MODELS.slice(0, 1) : MODELS) {
    const dir = path.join(folder, 'model');
    await rm(dir, { recursive: true, force: true });
    const available = { diskBytes: freeDiskBytes(cacheDir), memoryBytes: Math.max(0, availableMemoryBytes() - BESIDE_WEIGHTS) };
    const layers = Math.min(context.layers ?? Number.POSITIVE_INFINITY, layersThatFit(paperModels[model], available));
    layersOf[model] = layers;
    try {
      log(`true-size: writing ${layers} layers of ${model}'s sizes`);
      await writeSyntheticFolder(dir, { ...paperModels[model], model_type: 'llama', num_hidden_layers: layers });
      await measureModel(found, { context, store, model, layers, dir, keep });
    } finally {
      if (existsSync(dir)) await rm(dir, { recursive: true });
    }
  }
  log('wrote true-size.md and .json');
  return found.failures.length === 0;
}

interface Found extends TrueSizeResults {
  readonly rows: Row[];
  readonly scores: ScoreRow[];
  readonly failures: string[];
}

interface ModelRun {
  readonly context: PartContext;
  readonly store: MeasurementStore<object>;
  readonly model: ModelName;
  readonly layers: number;
  /** The folder with the model's weights. */
  readonly dir: string;
  /** Writes the results so far. */
  readonly keep: () => Promise<void>;
}

/** Measures all configurations of a model, each in its own process; notes a failure and continues with the others. */
async function measureModel(found: Found, { context, store, model, layers, dir, keep }: ModelRun): Promise<void> {
  const { sides, threads } = context;
  const cores = coresFor(threads);
  const scripts = { ours: path.join(sides.scripts, SCRIPT), theirs: sides.peer };
  /** @returns a measurement from an interrupted run of the same code, or a new one */
  const measured = async <T extends PeerStep | TrueSizeScores>(side: keyof typeof scripts, of: object, run: () => Promise<T>) => {
    const key = JSON.stringify({ model, layers, threads, ...of, code: codeHash(scripts[side]) });
    const kept = store.find(key) as T | undefined; // its key identifies the measurement
    const row = kept ?? (await run());
    if (!kept) store.keep(key, row);
    return row;
  };
  const attempt = async (name: string, work: () => Promise<string>): Promise<void> => {
    try {
      log(`${name}: ${await work()}`);
    } catch (error) {
      found.failures.push(`${model}: ${name}: ${messageOf(error).split('\n')[0]}`);
      log(`${model}: ${name}: ${messageOf(error)}`);
    }
    await keep();
  };
  const stepText = (row: PeerStep): string => `${median(row.stepSeconds).toFixed(1)} s, ${gigabytes(row.peakBytes)} GB`;
  await attempt(THEIRS, async () => {
    const run = () => runTheirs<PeerStep>(sides, peerArguments(THEIR_STEP, dir, STEPS - 1), cores);
    const row = await measured('theirs', THEIR_STEP, run);
    found.rows.push({ ...row, model, name: THEIRS });
    return stepText(row);
  });
  for (const { name, recipe } of OURS)
    await attempt(name, async () => {
      const request = { recipe: recipe + RECIPE, steps: STEPS };
      const ours = await measured('ours', request, () => runOurs<TrueSizeStep>(sides, SCRIPT, { ...request, folder: dir }, cores));
      found.rows.push({ ...ours, model, name, ours });
      return stepText(ours);
    });
  for (const { name, recipe, measure } of SCORES)
    await attempt(name, async () => {
      const request = { recipe: recipe + RECIPE, steps: 0, measure };
      const scores = await measured('ours', request, () => runOurs<TrueSizeScores>(sides, SCRIPT, { ...request, folder: dir }, cores));
      found.scores.push({ ...scores, model, name });
      return `${scores.seconds.toFixed(1)} s, ${gigabytes(scores.peakBytes)} GB`;
    });
}
