/** Runs the benchmark: both sides in turn, a table and a JSON file for each number of cores. Started by scripts/bench.mjs. */
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ADDON_PACKAGE, ADDON_VERSION, TENSORFLOW_VERSION } from '../trainer/engine/install/engine-folder.ts';
import { describeMachine } from '../trainer/engine/machine.ts';
import { type Configuration, describe, guessSeconds, plan } from './configuration.ts';
import { float32Folder } from './float32-folder.ts';
import { computeRatios, TARGETS } from './ratios.ts';
import { disturbed, type Facts, markdown, type Results, ratiosTable, rowsTable } from './report.ts';
import { compareWork, coresFor, measure, measureRates, peerVersions, type RawRow, type Sides, withMemory } from './run-side.ts';

export interface BenchParams {
  readonly quick: boolean;
  readonly json: boolean;
  /** Numbers of cores, measured one after the other. */
  readonly threads: readonly number[];
  /** Measured steps of each process. */
  readonly steps: number;
  readonly cacheDir: string;
  readonly python: string;
  /** The model as a folder or file that our hub reader opens. */
  readonly model: string;
  readonly root: string;
}

const log = (line: string): void => console.error(line);
const minutes = (seconds: number): string => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/** Learns from what is done how long the rest takes. */
class Clock {
  private readonly started = performance.now();
  private done = 0;
  private readonly total: number;

  constructor(total: number) {
    this.total = total;
  }

  advance(guess: number): void {
    this.done += guess;
  }

  left(): number {
    const elapsed = (performance.now() - this.started) / 1000;
    return this.done === 0 ? this.total : (elapsed / this.done) * (this.total - this.done);
  }
}

async function measureAll(sides: Sides, configurations: readonly Configuration[], params: BenchParams, threads: number, clock: Clock) {
  const rows: RawRow[] = [];
  const failures: string[] = [];
  for (const configuration of configurations) {
    try {
      const row = await measure(sides, configuration, threads, params.steps);
      rows.push(row);
      log(
        `${describe(row).padEnd(44)} ${row.secondsPerStep.toFixed(2)} s/step  peak ${(row.peakBytes / 2 ** 20).toFixed(0)} MiB  ` +
          `CPU ${(100 * row.cpuShare).toFixed(0)}%  load ${row.loadAverage.toFixed(1)}`,
      );
    } catch (error) {
      failures.push(`${describe(configuration)}: ${(error as Error).message}`);
      log(failures.at(-1) as string);
    }
    clock.advance(guessSeconds(configuration, threads, params.steps));
    log(`  ${minutes(clock.left())} left`);
  }
  return { rows: withMemory(rows), failures: [...failures, ...compareWork(rows)] };
}

async function gatherFacts(sides: Sides): Promise<Facts> {
  const { cpu, memory } = describeMachine();
  const versions = {
    node: process.versions.node,
    tensorflow: TENSORFLOW_VERSION,
    [ADDON_PACKAGE]: ADDON_VERSION,
    ...(await peerVersions(sides)),
  };
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    cpu: cpu.model,
    features: cpu.features,
    cores: os.cpus().length,
    memoryBytes: memory.totalBytes,
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
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

/** @returns false when something could not be measured, or the two sides did not do the same work */
export async function runBench(params: BenchParams): Promise<boolean> {
  for (const threads of params.threads) coresFor(threads);
  const sides: Sides = {
    cacheDir: params.cacheDir,
    python: params.python,
    model: await float32Folder(params.model, path.join(params.cacheDir, 'bench', 'smollm2-float32'), log),
    peer: path.join(params.root, 'bench', 'peers', 'pytorch_llm.py'),
    scripts: import.meta.dirname,
  };
  const facts = await gatherFacts(sides);
  const { quick } = params;
  const guesses = params.threads.flatMap(threads => plan({ quick, threads }).map(one => guessSeconds(one, threads, params.steps)));
  const clock = new Clock(guesses.reduce((sum, guess) => sum + guess, 0));
  log(`${guesses.length} processes, about ${minutes(clock.left())}; leave the machine alone meanwhile`);
  const all: Results[] = [];
  const failures: string[] = [];
  for (const threads of params.threads) {
    const rates = await measureRates(sides, threads);
    log(
      `${threads} core${threads > 1 ? 's' : ''}: matrix products at ${rates.rowtune.toFixed(0)} (ours) and ${rates.pytorch.toFixed(0)} (PyTorch) GFLOP/s`,
    );
    const { rows, failures: failed } = await measureAll(sides, plan({ quick, threads }), params, threads, clock);
    const notes = [...failed, ...disturbed(rows, facts.cores)];
    const results = { facts, threads, steps: params.steps, rates, rows, ratios: computeRatios(rows, threads), notes };
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
