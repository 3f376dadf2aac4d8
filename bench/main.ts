/** Runs the benchmark: both sides in turn, with a table and a JSON file for each number of cores. Started by scripts/bench.mjs. */
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ADDON_PACKAGE, ADDON_VERSION, TENSORFLOW_VERSION } from '../trainer/engine/install/engine-folder.ts';
import { findNvidiaGpu } from '../trainer/engine/install/toolchain.ts';
import { describeMachine } from '../trainer/machine/machine.ts';
import { MODEL_NAMES, type ModelName } from './bench-models.ts';
import { plan } from './configuration.ts';
import type { Device } from './device.ts';
import { benchFolder } from './float32-folder.ts';
import { Clock, guessAll, log, measureAll, minutes } from './measurements.ts';
import { computeRatios, TARGETS } from './ratios.ts';
import { disturbed, type Facts, markdown, type Results, ratiosTable, rowsTable } from './report.ts';
import { BenchError, compareWork, coreSets, coresFor, measureRates, peerVersions, type Sides, withMemory } from './run-side.ts';

export interface SidesParams {
  readonly device: Device;
  readonly cacheDir: string;
  /** Undefined if PyTorch's side is not measured. */
  readonly python: string | undefined;
  /** For each measured model, its real weights as a folder or file that our hub reader opens, or undefined for random weights. */
  readonly sources: Readonly<Partial<Record<ModelName, string | undefined>>>;
  readonly root: string;
}

export interface BenchParams extends SidesParams {
  readonly quick: boolean;
  readonly json: boolean;
  /** Numbers of cores, measured one after the other. */
  readonly threads: readonly number[];
  /** Number of measured steps per process. */
  readonly steps: number;
}

/** Checks the device before anything is downloaded. @throws BenchError if there is no such device */
export async function checkMachine(device: Device): Promise<void> {
  if (device === 'gpu' && !(await findNvidiaGpu()))
    throw new BenchError('--device gpu measures an NVIDIA GPU, and nvidia-smi finds none on this machine; leave it out to measure the CPU');
}

/** Opens both sides; writes model folders that are missing. */
export async function openSides({ cacheDir, python, root, sources, device }: SidesParams): Promise<Sides> {
  const folders: Partial<Record<ModelName, string>> = {};
  for (const name of MODEL_NAMES)
    if (Object.hasOwn(sources, name)) folders[name] = await benchFolder(name, path.join(cacheDir, 'bench'), sources[name], log);
  const peer = path.join(root, 'bench', 'peers', 'pytorch_peft.py');
  return { cacheDir, python, folders, peer, scripts: import.meta.dirname, device, engine: 'tensorflow' };
}

const TENSORFLOW_VERSIONS: Readonly<Record<string, string>> = { tensorflow: TENSORFLOW_VERSION, [ADDON_PACKAGE]: ADDON_VERSION };

/** @param ours versions of our engine */
export async function gatherFacts(sides: Sides, ours = TENSORFLOW_VERSIONS): Promise<Facts> {
  const { cpu, memory } = describeMachine();
  const gpu = sides.device === 'gpu' ? await findNvidiaGpu() : undefined;
  const versions = {
    node: process.versions.node,
    ...ours,
    ...(sides.python === undefined ? {} : await peerVersions(sides)),
  };
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    cpu: cpu.model,
    features: cpu.features,
    cores: os.cpus().length,
    memoryBytes: memory.totalBytes,
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    ...(gpu && { gpu: `${gpu.name}, driver ${gpu.driver}` }),
    versions,
  };
}

async function writeResults(folder: string, results: Results): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, `llm-${results.threads}`);
  await writeFile(`${file}.md`, markdown(results));
  await writeFile(`${file}.json`, `${JSON.stringify(results, null, 2)}\n`);
  log(`wrote ${file}.md and .json`);
}

/** @returns false if something could not be measured, or if the two sides did not do the same work */
export async function runBench(params: BenchParams): Promise<boolean> {
  for (const threads of params.threads) coresFor(threads);
  const sides = await openSides(params);
  const facts = await gatherFacts(sides);
  const { quick, steps } = params;
  const rounds = params.threads.map(threads => ({
    sides,
    threads,
    jobs: 1,
    planned: plan({ quick, threads }).map(configuration => ({ configuration, steps })),
  }));
  const clock = new Clock(rounds.reduce((sum, round) => sum + guessAll(round), 0));
  const processes = rounds.reduce((sum, { planned }) => sum + planned.length, 0);
  log(`${processes} processes, about ${minutes(clock.left())}; leave the machine alone meanwhile`);
  const all: Results[] = [];
  const failures: string[] = [];
  for (const round of rounds) {
    const { threads } = round;
    const rates = await measureRates(sides, coreSets(threads, 1));
    log(
      `${threads} core${threads > 1 ? 's' : ''}: matrix products at ${rates.rowtune.toFixed(0)} (ours) and ${rates.pytorch.toFixed(0)} (PyTorch) GFLOP/s`,
    );
    const measured = await measureAll({ ...round, clock });
    const rows = withMemory(measured.rows);
    const failed = [...measured.failures, ...compareWork(measured.rows)];
    const notes = [...failed, ...disturbed(rows, facts.cores)];
    const results = { facts, threads, steps, rates, rows, ratios: computeRatios(rows, threads), notes };
    if (!quick) await writeResults(path.join(params.root, 'bench', 'results'), results);
    failures.push(...failed);
    all.push(results);
  }
  print(all, params);
  const expected = params.threads.length * TARGETS.reduce((sum, { bounds }) => sum + bounds.length, 0);
  return failures.length === 0 && all.flatMap(({ ratios }) => ratios).length === expected;
}

function print(all: readonly Results[], { json }: BenchParams): void {
  if (json) {
    const [first] = all;
    const rates = all.map(one => ({ threads: one.threads, ...one.rates }));
    const notes = all.flatMap(one => one.notes);
    console.log(
      JSON.stringify({ rows: all.flatMap(one => one.rows), ratios: all.flatMap(one => one.ratios), rates, facts: first?.facts, notes }),
    );
    return;
  }
  for (const results of all) {
    console.log(`\n${results.threads} core${results.threads > 1 ? 's' : ''}\n\n${rowsTable(results)}\n\n${ratiosTable(results.ratios)}`);
    for (const note of results.notes) console.log(`note: ${note}`);
  }
}
