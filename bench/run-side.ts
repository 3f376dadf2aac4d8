/** Measures one configuration in a fresh process, pinned to its cores. Both sides get the same thread settings. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { EngineName } from '../trainer/engine/engine.ts';
import { runCommand } from '../trainer/engine/install/run-command.ts';
import { WORKER_FLAGS, workerEnvironment } from '../trainer/engine/tensorflow/environment.ts';
import { elementAt, required } from '../trainer/narrow.ts';
import { benchModels, type ModelName } from './bench-models.ts';
import { type Configuration, checkpoints, describe, isInference, recomputeOf, sameWork, warmUpSteps } from './configuration.ts';
import type { Device } from './device.ts';
import type { Row } from './ratios.ts';

export interface Sides {
  /** Hugging Face folders with float32 weights, which both sides load. */
  readonly folders: Readonly<Partial<Record<ModelName, string>>>;
  readonly cacheDir: string;
  /** A Python that has PyTorch, Transformers and PEFT; without it, PyTorch's side cannot be measured. */
  readonly python: string | undefined;
  /** The script of PyTorch's side. */
  readonly peer: string;
  /** The folder of our bundled scripts. */
  readonly scripts: string;
  readonly device: Device;
  /** The engine of our side. */
  readonly engine: EngineName;
  /** True to measure GPU memory as the allocators of both sides count it, instead of as the driver does. */
  readonly countsAllocations?: boolean;
}

/** The measurements that one process reports about itself. */
export interface Measured
  extends Pick<Row, 'stepSeconds' | 'peakBytes' | 'residentBytes' | 'trainable' | 'losses' | 'flops' | 'fusesAttention'> {
  /** Peak until the end of the first step, if `peakBytes` covers only the time after it. */
  readonly firstPeak?: number;
  /** Processor time of the measured steps. */
  readonly cpuSeconds: number;
}

/** A row whose memory beyond inference is not computed yet. */
export type RawRow = Omit<Row, 'memoryBytes'>;

/** A failed process; the message ends with its output. */
export class BenchError extends Error {
  override name = 'BenchError';
}

/** Returns the last `threads` of the cores that this process may use, because the first handle interrupts on most machines. */
export function coresFor(threads: number, status: string = readFileSync('/proc/self/status', 'utf8')): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
  const cores = list.split(',').flatMap(range => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (cores.length < threads)
    throw new BenchError(`${threads} cores are to be measured and only ${cores.length} may be used; see --threads and --jobs`);
  return cores.slice(-threads);
}

/** Returns the cores of each of `jobs` measurements that run at the same time. */
export function coreSets(threads: number, jobs: number): number[][] {
  const all = coresFor(threads * jobs);
  return Array.from({ length: jobs }, (_, i) => all.slice(all.length - (i + 1) * threads, all.length - i * threads));
}

/** Runs `command` on these cores and parses its last line as JSON. @throws BenchError if it fails */
export async function runPinned<T>(
  command: readonly string[],
  cores: readonly number[],
  env: Readonly<Record<string, string>>,
  timeoutMs?: number,
): Promise<T> {
  let line: string | undefined;
  const result = await runCommand('taskset', ['-c', cores.join(','), ...command], {
    env: { OMP_NUM_THREADS: String(cores.length), ...env },
    timeoutMs,
    onLine: text => {
      if (text.startsWith('{')) line = text;
    },
  });
  if (result.status !== 0 || line === undefined)
    throw new BenchError(`${command.slice(0, 3).join(' ')} failed with status ${result.status}:\n${result.output.trim().slice(-2000)}`);
  // The command prints the type that the caller names.
  return JSON.parse(line) as T;
}

export const runOurs = <T>(sides: Sides, script: string, request: object, cores: readonly number[], timeoutMs?: number): Promise<T> =>
  runPinned<T>(
    [
      process.execPath,
      ...WORKER_FLAGS,
      path.join(sides.scripts, script),
      JSON.stringify({ cacheDir: sides.cacheDir, device: sides.device, engine: sides.engine, ...request }),
    ],
    cores,
    workerEnvironment({ threads: cores.length }),
    timeoutMs,
  );

export async function runTheirs<T>(sides: Sides, args: readonly string[], cores: readonly number[], timeoutMs?: number): Promise<T> {
  if (sides.python === undefined) throw new BenchError('there is no Python with PyTorch, Transformers and PEFT');
  return runPinned<T>(
    [sides.python, '-W', 'ignore', sides.peer, ...args, '--threads', String(cores.length), '--device', sides.device],
    cores,
    // On a CPU, compiler workers would use the cores of others, and their memory would not be counted; on a GPU, neither matters.
    { TORCHINDUCTOR_COMPILE_THREADS: sides.device === 'gpu' ? String(cores.length) : '1' },
    timeoutMs,
  );
}

/** Returns the arguments of PyTorch's side for the model in a folder. */
export function peerArguments(
  { method, r, dropout, setting, dtype, batch, tokens, attention }: Omit<Configuration, 'implementation' | 'model'>,
  folder: string,
  steps: number,
): string[] {
  const values = { model: folder, method, rank: r, dropout, dtype, batch, tokens, steps, 'warm-up': warmUpSteps(steps) };
  return [
    'train',
    ...Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...setting.split('+').flatMap(part => (part === 'checkpointing' || part === 'compile' ? [`--${part}`] : [])),
    ...(attention ? ['--attention', attention] : []),
  ];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (elementAt(sorted, Math.ceil(middle) - 1) + elementAt(sorted, Math.floor(middle))) / 2;
}

/**
 * Returns the peak of a configuration. For training, the first step counts, including compilation. For inference, it does not: it runs on
 * top of what loading left in the heap, which is freed when the first run ends. Counting these leftovers would enlarge the baseline and
 * shrink every difference, because training reuses that memory. PyTorch's side frees its leftovers before it starts, and has no
 * `firstPeak`.
 */
export const peakOf = (configuration: Configuration, { peakBytes, firstPeak = 0 }: Pick<Measured, 'peakBytes' | 'firstPeak'>): number =>
  isInference(configuration) ? peakBytes : Math.max(peakBytes, firstPeak);

export interface MeasureParams {
  readonly cores: readonly number[];
  /** Number of measured steps, after the warm-up. */
  readonly steps: number;
  /** Time after which the process is ended. */
  readonly timeoutMs?: number | undefined;
}

/** @throws BenchError if the process fails */
export async function measure(sides: Sides, configuration: Configuration, { cores, steps, timeoutMs }: MeasureParams): Promise<RawRow> {
  const [loadAverage = Number.NaN] = os.loadavg();
  const folder = required(sides.folders[configuration.model], `the folder of ${configuration.model}`);
  const warmUp = warmUpSteps(steps);
  const anyRows = benchModels[configuration.model].weights === 'generated';
  const request = { ...configuration, folder, ...recomputeOf(configuration), steps, warmUp, anyRows };
  const counted = sides.countsAllocations ? ['--count', 'allocator'] : [];
  const measured = await (configuration.implementation === 'rowtune'
    ? runOurs<Measured>(sides, 'step.mjs', request, cores, timeoutMs)
    : runTheirs<Measured>(sides, [...peerArguments(configuration, folder, steps), ...counted], cores, timeoutMs));
  const { stepSeconds, residentBytes, trainable, losses, flops, fusesAttention } = measured;
  if (stepSeconds.length !== steps) throw new BenchError(`${steps} steps were asked for and ${stepSeconds.length} measured`);
  return {
    ...configuration,
    checkpointing: checkpoints(configuration),
    threads: cores.length,
    secondsPerStep: median(stepSeconds),
    peakBytes: peakOf(configuration, measured),
    cpuShare: measured.cpuSeconds / stepSeconds.reduce((sum, seconds) => sum + seconds, 0) / cores.length,
    ...{ stepSeconds, residentBytes, trainable, losses, flops, loadAverage, fusesAttention },
  };
}

/** Rate of matrix products of a linear layer's size, in GFLOP/s, by side. */
export interface Rates {
  readonly rowtune: number;
  readonly pytorch: number;
}

/**
 * Measures the rates with as many processes at a time as the steps use, and returns the mean over them.
 * @throws BenchError if a side cannot compute on the device
 */
export async function measureRates(
  sides: Sides,
  sets: readonly (readonly number[])[],
  dtype: 'float32' | 'bfloat16' = 'float32',
): Promise<Rates> {
  const meanOf = async (run: (cores: readonly number[]) => Promise<{ readonly gflops: number }>): Promise<number> => {
    const rates = await Promise.all(sets.map(run));
    return rates.reduce((sum, { gflops }) => sum + gflops, 0) / rates.length;
  };
  return {
    rowtune: await meanOf(cores => runOurs(sides, 'matmul.mjs', { dtype }, cores)),
    pytorch: await meanOf(cores => runTheirs(sides, ['matmul', '--dtype', dtype], cores)),
  };
}

export const peerVersions = async (sides: Sides): Promise<Record<string, string>> => runTheirs(sides, ['versions'], coresFor(1));

/**
 * Computes memory beyond inference of the same implementation, batch, precision and number of cores; rows without such an inference are
 * omitted. Autocast is compared with float32 inference if measured, because it keeps float32 weights; its own inference keeps a second
 * 16-bit copy of them.
 */
export function withMemory(rows: readonly RawRow[]): Row[] {
  return rows.flatMap(row => {
    const inferenceIn = (dtype: RawRow['dtype']): RawRow | undefined =>
      rows.find(
        other =>
          isInference(other) &&
          other.implementation === row.implementation &&
          other.threads === row.threads &&
          other.dtype === dtype &&
          sameWork(other, row),
      );
    const base = (row.dtype === 'autocast' && !isInference(row) ? inferenceIn('float32') : undefined) ?? inferenceIn(row.dtype);
    return base ? [{ ...row, memoryBytes: row.peakBytes - base.peakBytes }] : [];
  });
}

/** Tolerance of a loss, relative above 1: float32 sums in a different order differ by about 1e-5; a bfloat16 has 8 bits. */
const LOSS_TOLERANCE = { float32: 1e-3, other: 3e-2 };

/** Returns complaints if the two sides did not do the same work: the same weights and batch must give the same first loss. */
export function compareWork(rows: readonly RawRow[]): string[] {
  return rows.flatMap(row => {
    const first = rows.find(other => sameWork(other, row)) ?? row;
    const [loss, expected] = [elementAt(row.losses, 0), elementAt(first.losses, 0)];
    const tolerance = row.dtype === first.dtype && row.dtype === 'float32' ? LOSS_TOLERANCE.float32 : LOSS_TOLERANCE.other;
    const strays = !(Math.abs(loss - expected) <= tolerance * Math.max(1, Math.abs(expected)));
    // Factors of experts differ: gate and up share one pair in PEFT and have two here, as the report says.
    const peer = rows.find(
      other => other.implementation !== row.implementation && other.method === row.method && other.r === row.r && sameWork(other, row),
    );
    return [
      ...(strays ? [`${describe(row)} starts at loss ${loss}, ${describe(first)} at ${expected}`] : []),
      ...(row.implementation === 'rowtune' && peer && peer.trainable !== row.trainable && !benchModels[row.model].withExperts
        ? [`${describe(row)} trains ${row.trainable} parameters, ${describe(peer)} ${peer.trainable}`]
        : []),
    ];
  });
}
