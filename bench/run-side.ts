/** Measures one configuration in a fresh process, pinned to its cores; both sides get the same environment for threads. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { runCommand } from '../trainer/engine/install/run-command.ts';
import { WORKER_FLAGS, workerEnvironment } from '../trainer/engine/tensorflow/environment.ts';
import { BATCH, type Configuration, checkpoints, describe, isInference, TOKENS, WARM_UP_STEPS } from './configuration.ts';
import type { Row } from './ratios.ts';

export interface Sides {
  /** A Hugging Face folder with float32 weights: what both sides load. */
  readonly model: string;
  readonly cacheDir: string;
  /** A Python that has PyTorch, Transformers and PEFT. */
  readonly python: string;
  /** Script of PyTorch's side. */
  readonly peer: string;
  /** The folder of our own bundled scripts. */
  readonly scripts: string;
}

/** What one process tells of itself. */
export interface Measured extends Pick<Row, 'stepSeconds' | 'peakBytes' | 'residentBytes' | 'trainable' | 'losses' | 'flops'> {
  /** Peak until the end of the first step, where `peakBytes` counts only what came after. */
  readonly firstPeak?: number;
  /** Processor time of the measured steps. */
  readonly cpuSeconds: number;
}

/** A row whose memory is not yet counted from inference. */
export type RawRow = Omit<Row, 'memoryBytes'>;

/** A process that failed; the message ends with what it said. */
export class BenchError extends Error {
  override name = 'BenchError';
}

/** The last `threads` of the cores that this process may use: the first serve interrupts on most machines. */
export function coresFor(threads: number, status: string = readFileSync('/proc/self/status', 'utf8')): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
  const cores = list.split(',').flatMap(range => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (cores.length < threads)
    throw new BenchError(`${threads} cores are to be measured and only ${cores.length} may be used; see --threads`);
  return cores.slice(-threads);
}

/** Runs `command` on `threads` cores and takes its last line as JSON. @throws BenchError when it fails */
async function runPinned(command: readonly string[], threads: number, env: Readonly<Record<string, string>>): Promise<unknown> {
  let line: string | undefined;
  const result = await runCommand('taskset', ['-c', coresFor(threads).join(','), ...command], {
    env: { OMP_NUM_THREADS: String(threads), ...env },
    onLine: text => {
      if (text.startsWith('{')) line = text;
    },
  });
  if (result.status !== 0 || line === undefined)
    throw new BenchError(`${command.slice(0, 3).join(' ')} failed with status ${result.status}:\n${result.output.trim().slice(-2000)}`);
  return JSON.parse(line);
}

const runOurs = (sides: Sides, script: string, request: object, threads: number): Promise<unknown> =>
  runPinned(
    [process.execPath, ...WORKER_FLAGS, path.join(sides.scripts, script), JSON.stringify({ cacheDir: sides.cacheDir, ...request })],
    threads,
    workerEnvironment({ threads }),
  );

const runTheirs = (sides: Sides, args: readonly string[], threads: number): Promise<unknown> =>
  runPinned([sides.python, '-W', 'ignore', sides.peer, ...args, '--threads', String(threads)], threads, {});

function peerArguments({ method, r, dropout, setting }: Configuration, model: string, steps: number): string[] {
  const numbers = { rank: r, dropout, batch: BATCH, tokens: TOKENS, steps, 'warm-up': WARM_UP_STEPS };
  return [
    ...['train', '--model', model, '--method', method],
    ...Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...(setting === 'checkpointing' ? ['--checkpointing'] : []),
  ];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2;
}

/**
 * Of training, the first step counts, and with it what compiling takes. Of inference it does not: it begins on top of what loading left
 * in the heap, which goes back to the system when the first run ends. Counted in, the leftover would make the baseline larger and every
 * difference smaller, since training fills it unseen. PyTorch's side gives its leftover back before it starts, and has no `firstPeak`.
 */
export const peakOf = (configuration: Configuration, { peakBytes, firstPeak = 0 }: Pick<Measured, 'peakBytes' | 'firstPeak'>): number =>
  isInference(configuration) ? peakBytes : Math.max(peakBytes, firstPeak);

/** @throws BenchError when its process fails */
export async function measure(sides: Sides, configuration: Configuration, threads: number, steps: number): Promise<RawRow> {
  const loadAverage = os.loadavg()[0] as number;
  const request = {
    ...configuration,
    model: sides.model,
    recompute: configuration.setting,
    batch: BATCH,
    tokens: TOKENS,
    steps,
    warmUp: WARM_UP_STEPS,
  };
  const measured = (await (configuration.implementation === 'rowtune'
    ? runOurs(sides, 'step.mjs', request, threads)
    : runTheirs(sides, peerArguments(configuration, sides.model, steps), threads))) as Measured;
  const { stepSeconds, residentBytes, trainable, losses, flops } = measured;
  return {
    ...configuration,
    checkpointing: checkpoints(configuration),
    threads,
    secondsPerStep: median(stepSeconds),
    peakBytes: peakOf(configuration, measured),
    cpuShare: measured.cpuSeconds / stepSeconds.reduce((sum, seconds) => sum + seconds, 0) / threads,
    ...{ stepSeconds, residentBytes, trainable, losses, flops, loadAverage },
  };
}

/** Float32 matrix products of a linear layer's size, in GFLOP/s, by each side. */
export async function measureRates(sides: Sides, threads: number): Promise<{ rowtune: number; pytorch: number }> {
  const mine = (await runOurs(sides, 'matmul.mjs', {}, threads)) as { gflops: number };
  const other = (await runTheirs(sides, ['matmul'], threads)) as { gflops: number };
  return { rowtune: mine.gflops, pytorch: other.gflops };
}

export const peerVersions = async (sides: Sides): Promise<Record<string, string>> =>
  (await runTheirs(sides, ['versions'], 1)) as Record<string, string>;

/** Counts memory from the inference of the same implementation on as many cores; rows without one are left out. */
export function withMemory(rows: readonly RawRow[]): Row[] {
  return rows.flatMap(row => {
    const base = rows.find(other => isInference(other) && other.implementation === row.implementation && other.threads === row.threads);
    return base ? [{ ...row, memoryBytes: row.peakBytes - base.peakBytes }] : [];
  });
}

/** The same weights and the same batch give the same first loss; float32 sums in another order differ by about 1e-5. */
const LOSS_TOLERANCE = 1e-3;

/** Complaints where the two sides did not do the same work. */
export function compareWork(rows: readonly RawRow[]): string[] {
  const [first] = rows;
  if (!first) return [];
  const start = first.losses[0] as number;
  const strayed = rows.filter(row => !(Math.abs((row.losses[0] as number) - start) <= LOSS_TOLERANCE));
  return [
    ...strayed.map(row => `${describe(row)} starts at loss ${row.losses[0]}, ${describe(first)} at ${start}`),
    ...rows.flatMap(row => {
      const peer = rows.find(other => other.implementation !== row.implementation && other.method === row.method);
      return row.implementation === 'rowtune' && peer && peer.trainable !== row.trainable
        ? [`${describe(row)} trains ${row.trainable} parameters, ${describe(peer)} ${peer.trainable}`]
        : [];
    }),
  ];
}
