/**
 * Loads a folder of seven billion parameters, and reads the same files plainly, to find out whether weights stream in at the speed of the
 * disk.
 */
import { existsSync } from 'node:fs';
import { open, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { availableMemoryBytes, freeDiskBytes } from '../../trainer/machine/machine.ts';
import { log } from '../measurements.ts';
import { paperModels } from '../memory/memory-models.ts';
import type { PartContext } from '../part.ts';
import { type Facts, factLines, table } from '../report.ts';
import { coresFor, runOurs } from '../run-side.ts';
import type { LoadStepResult } from './load-step.ts';
import { layersThatFit, writeSyntheticFolder } from './synthetic-folder.ts';

const CONFIG = paperModels['Llama-2-7B'];
/** Maximum share of free memory for the loaded weights. */
const MAX_SHARE_OF_MEMORY = 0.8;
/** Read size of plain reading, as in `dd` and other readers of large files. */
const READ_BYTES = 8 * 2 ** 20;

const weightFiles = async (dir: string): Promise<string[]> =>
  (await readdir(dir)).filter(name => name.endsWith('.safetensors')).map(name => path.join(dir, name));

/** Drops the system's cached pages of these files, so that they are read from disk. @returns false if that was not possible */
async function forget(dir: string): Promise<boolean> {
  for (const file of await weightFiles(dir)) {
    const { status } = await runCommand('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
    if (status !== 0) return false;
  }
  return true;
}

interface Reading {
  readonly seconds: number;
  /** Processor time. */
  readonly cpuSeconds: number;
}

/** Reads the files one after the other from start to end and discards the bytes. */
async function readPlainly(dir: string): Promise<Reading> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const begin = performance.now();
  const cpuBegin = process.cpuUsage();
  for (const name of await weightFiles(dir)) {
    const file = await open(name, 'r');
    try {
      while ((await file.read(buffer, 0, READ_BYTES)).bytesRead > 0);
    } finally {
      await file.close();
    }
  }
  const cpu = process.cpuUsage(cpuBegin);
  return { seconds: (performance.now() - begin) / 1000, cpuSeconds: (cpu.user + cpu.system) / 1e6 };
}

export interface LoadResults {
  readonly facts: Facts;
  readonly threads: number;
  readonly layers: number;
  readonly bytes: number;
  /** False if the files may have come from memory both times. */
  readonly fromDisk: boolean;
  /** Each load with a plain reading right before it, so that other activity of the machine affects both. */
  readonly loads: readonly (LoadStepResult & { readonly form: string; readonly plain: Reading })[];
}

/** The forms in which the engine holds the weights. */
const FORMS = [
  { form: 'bfloat16', dtype: 'bfloat16', quantize: 'none' },
  { form: 'int8', dtype: 'bfloat16', quantize: 'int8' },
  { form: 'nf4', dtype: 'bfloat16', quantize: 'nf4' },
] as const;

const rate = (bytes: number, seconds: number): string => (bytes / seconds / 1e9).toFixed(2);
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

export function loadMarkdown({ facts, threads, layers, bytes, fromDisk, loads }: LoadResults): string {
  const whole = layers === CONFIG.num_hidden_layers;
  const lines = loads.flatMap(({ form, seconds, cpuSeconds, heapBytes, residentBytes, plain }) => [
    ['plain reading', plain.seconds.toFixed(1), rate(bytes, plain.seconds), '100%', plain.cpuSeconds.toFixed(1), '–', '–'],
    [
      `loading as ${form}`,
      seconds.toFixed(1),
      rate(bytes, seconds),
      `${((100 * plain.seconds) / seconds).toFixed(0)}%`,
      cpuSeconds.toFixed(1),
      (heapBytes / 1e6).toFixed(0),
      gigabytes(residentBytes),
    ],
  ]);
  return `# Loading seven billion parameters

Written by \`npm run bench -- --part load\`: the sizes of Llama-2-7B${whole ? '' : `, ${layers} of its 32 layers because this machine has no room for more`}, with
synthetic weights in ${gigabytes(bytes)} GB of bfloat16 shards, one per layer, on
${threads} core${threads > 1 ? 's' : ''}. ${fromDisk ? "Before each line the system forgets the files' contents." : 'The system could not be asked to forget the files, so that they may come from memory.'} Each load is
compared with the plain reading right before it. "Processor" is the time of all threads; "JavaScript" is the
peak of its heap and array buffers, sampled at every tensor. The largest tensor takes ${loads[0] ? (loads[0].largestTensorBytes / 1e6).toFixed(0) : '–'} MB as float32.

${factLines(facts)}

${table(['', 'seconds', 'GB/s of the files', 'of plain reading', 'processor, s', 'JavaScript, MB', 'resident at the end, GB'], lines)}
`;
}

/** @returns false if a load failed */
export async function runLoad({ sides, facts, threads, results, cacheDir }: PartContext): Promise<boolean> {
  const dir = path.join(cacheDir, 'bench', 'synthetic-7b');
  await rm(dir, { recursive: true, force: true });
  const available = { diskBytes: freeDiskBytes(path.dirname(dir)), memoryBytes: MAX_SHARE_OF_MEMORY * availableMemoryBytes() };
  const layers = layersThatFit(CONFIG, available);
  const cores = coresFor(threads);
  log(`load: writing ${layers} layers of Llama-2-7B's sizes`);
  try {
    const bytes = await writeSyntheticFolder(dir, { ...CONFIG, num_hidden_layers: layers });
    const fromDisk = await forget(dir);
    const loads: LoadResults['loads'][number][] = [];
    for (const { form, ...precision } of FORMS) {
      await forget(dir);
      const plain = await readPlainly(dir);
      log(`plain reading: ${gigabytes(bytes)} GB in ${plain.seconds.toFixed(1)} s`);
      await forget(dir);
      const loaded = await runOurs<LoadStepResult>(sides, 'load-step.mjs', { folder: dir, ...precision }, cores);
      loads.push({ form, ...loaded, plain });
      log(
        `loading as ${form}: ${loaded.seconds.toFixed(1)} s, ${(loaded.heapBytes / 1e6).toFixed(0)} MB in JavaScript, loss ${loaded.loss.toFixed(2)}`,
      );
    }
    const found: LoadResults = { facts, threads, layers, bytes, fromDisk, loads };
    await writeFile(path.join(results, 'load.md'), loadMarkdown(found));
    await writeFile(path.join(results, 'load.json'), `${JSON.stringify(found, null, 2)}\n`);
    log('wrote load.md and .json');
    return loads.every(({ loss }) => Number.isFinite(loss));
  } finally {
    if (existsSync(dir)) await rm(dir, { recursive: true });
  }
}
