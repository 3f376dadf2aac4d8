/** Memory predicted and measured, over methods, levels and families: `npm run bench -- --memory`. One process per configuration. */

import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { engineCatalog, engineNames } from '../../trainer/catalog/engines.ts';
import type { EngineName } from '../../trainer/engine/engine.ts';
import { enginesFolder } from '../../trainer/engine/install/engine-folder.ts';
import { runCommand } from '../../trainer/engine/install/run-command.ts';
import { WORKER_FLAGS, workerEnvironment } from '../../trainer/engine/tensorflow/environment.ts';
import { describeMachine } from '../../trainer/machine/machine.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { codeBytes } from '../../trainer/plan/memory/engine-overhead.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import { median } from '../run-side.ts';
import {
  LONG_STEPS,
  MANY_PROCESSES,
  type MemoryCase,
  memoryCases,
  SEVERAL_PROCESSES,
  STEPS,
  STEPS_OF_TINY,
  WIDE_SPREAD,
} from './memory-cases.ts';
import { type Configured, planOf, predict } from './memory-prediction.ts';
import type { MemoryStepRequest } from './memory-step.ts';
import { writePaperMemory } from './paper-memory.ts';

export interface MemoryBenchParams {
  readonly root: string;
  readonly cacheDir: string;
  readonly json: boolean;
  /** True for only tiny models and MiniLM, without writing files. */
  readonly quick: boolean;
  /** Measures only rows with this text in their model, engine or recipe; the results keep the others. Undefined for all. */
  readonly only?: string | undefined;
  /** True to update only predictions; measurements stay unchanged. */
  readonly predict: boolean;
}

interface MemoryRow {
  readonly model: string;
  readonly engine: EngineName;
  readonly recipe: string;
  readonly predictedBytes: number;
  readonly measuredBytes: number;
  /** The relative error: predicted / measured − 1. */
  readonly error: number;
  /** For long runs: resident bytes after the last step minus those after the hundredth. */
  readonly grownBytes?: number;
  readonly measuredOn: MeasuredOn;
  /** Number of processes that were measured; the row is that of their median. */
  readonly processes: number;
  /** The least and the most that any of these processes took; omitted for one process, and in results that did not record them. */
  readonly rangeBytes?: readonly [least: number, most: number];
}

/** The machine and the day of a measurement. A row that is only predicted again keeps them. */
interface MeasuredOn {
  readonly machine: string;
  readonly date: string;
}

function measuredHere(): MeasuredOn {
  const { cpu, memory } = describeMachine();
  const machine = `${[cpu.model, ...cpu.features].join(', ')}; ${(memory.totalBytes / 2 ** 30).toFixed(0)} GiB`;
  return { machine, date: new Date().toISOString().slice(0, 10) };
}

/** Maximum growth of the long run after a hundred steps, in bytes. */
const MAX_GROWTH_BYTES = 8e6;
/** The project's goals for the prediction error: at worst, and in the median. */
const WORST_ERROR = 0.1;
const MEDIAN_ERROR = 0.05;

const configuredOf = ({ config, task, recipe, engine, judge }: MemoryCase): Configured => ({
  engine,
  config,
  judge,
  recipe: `task: ${task}\n${recipe.replaceAll('; ', '\n')}\n`,
});

/** True if processes with the same step differ: JavaScript takes most of a tiny model's memory, and a compiler works in the process. */
const varies = ({ engine, steps }: MemoryCase): boolean => steps !== undefined || engineCatalog[engine].keepsPrograms === true;

/** Measures in several processes if they differ, and returns the row of the median. @throws as `measureIn` does */
async function measureCase(planned: MemoryCase, params: MemoryBenchParams): Promise<MemoryRow> {
  const rows: MemoryRow[] = [];
  const measureUntil = async (processes: number): Promise<void> => {
    while (rows.length < processes) rows.push(await measureOnce(planned, params));
  };
  if (!varies(planned)) return measureOnce(planned, params);
  await measureUntil(SEVERAL_PROCESSES);
  const [least, most] = rangeOf(rows);
  if (most / least - 1 > WIDE_SPREAD) await measureUntil(MANY_PROCESSES);
  const sorted = rows.toSorted((a, b) => a.measuredBytes - b.measuredBytes);
  return { ...elementAt(sorted, (rows.length - 1) / 2), processes: rows.length, rangeBytes: rangeOf(rows) };
}

function rangeOf(rows: readonly MemoryRow[]): readonly [least: number, most: number] {
  const measured = rows.map(({ measuredBytes }) => measuredBytes);
  return [Math.min(...measured), Math.max(...measured)];
}

/** Measures a first start: an engine that stores its programs finds none. @throws as `measureIn` does */
async function measureOnce(planned: MemoryCase, { cacheDir }: MemoryBenchParams): Promise<MemoryRow> {
  if (!engineCatalog[planned.engine].keepsPrograms) return measureIn(cacheDir, planned);
  const fresh = await mkdtemp(path.join(tmpdir(), 'rowtune-memory-'));
  try {
    await symlink(enginesFolder(cacheDir), enginesFolder(fresh), 'junction');
    return await measureIn(fresh, planned);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** @throws Error with the process's output if it fails */
async function measureIn(cacheDir: string, planned: MemoryCase): Promise<MemoryRow> {
  const { model, recipe, engine, steps = STEPS } = planned;
  const request: MemoryStepRequest = { ...configuredOf(planned), cacheDir, steps };
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
  const error = predictedBytes / measuredBytes - 1;
  return { model, engine, recipe, predictedBytes, measuredBytes, grownBytes, error, measuredOn: measuredHere(), processes: 1 };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
const percent = (share: number): string => `${share >= 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)}%`;

/** The machines of the rows, each with the days of its measurements. */
function machinesOf(rows: readonly MemoryRow[]): ReadonlyMap<string, readonly string[]> {
  const machines = new Map<string, string[]>();
  for (const { measuredOn } of rows) machines.set(measuredOn.machine, [...(machines.get(measuredOn.machine) ?? []), measuredOn.date]);
  return machines;
}

function markdown(rows: readonly MemoryRow[], summary: string): string {
  const machines = machinesOf(rows);
  const numbers = new Map([...machines.keys()].map((machine, i) => [machine, i + 1]));
  const described = [...machines].map(([machine, dates]) => {
    const days = [...new Set(dates)].sort();
    return `${numbers.get(machine)}. ${machine}; ${days.length > 1 ? `${days[0]} to ${days.at(-1)}` : days[0]}`;
  });
  const cells = rows.map(
    ({ model, engine, recipe, predictedBytes, measuredBytes, error, measuredOn, processes, rangeBytes }) =>
      `| ${model} | ${engine} | ${recipe} | ${megabytes(predictedBytes)} | ${megabytes(measuredBytes)} | ${percent(error)} | ${processes} | ${rangeBytes?.map(megabytes).join(' to ') ?? ''} | ${numbers.get(measuredOn.machine)} |`,
  );
  const widest = Math.max(0, ...rows.map(({ rangeBytes: [least, most] = [0, 0] }) => most - least));
  return `# Memory: predicted from headers, measured in the process

\`npm run bench -- --memory\`. Peak resident memory of ${STEPS} steps (${STEPS_OF_TINY} of tiny models) with one evaluation and one save before them, in MB.
Where processes differ, the median of ${SEVERAL_PROCESSES}, or of ${MANY_PROCESSES} if those differ by more than ${100 * WIDE_SPREAD}%: tiny models, of which JavaScript takes the most,
and PJRT, which compiles in the process on several threads${widest > 0 ? ` (by up to ${megabytes(widest)} MB)` : ''}. The range is that of the processes, where it was recorded.
Pages of code are left out on both sides: they are read from files, the system drops them at will, and how many are resident depends on what
it has cached (Node's and TensorFlow's: 320 to 370 MB). The estimate counts ${megabytes(codeBytes('tensorflow'))} MB for them (PJRT: ${megabytes(codeBytes('pjrt'))}, portable engine: ${megabytes(codeBytes('portable'))}).
PJRT computes on the processor here, and compiles its programs in the process that is measured, as at the first start of a run.

Measured on, numbered in the last column of the rows:

${described.join('\n')}

${summary}

| model | engine | recipe | predicted | measured | error | processes | range | machine |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
${cells.join('\n')}
`;
}

const keyOf = ({ model, engine, recipe }: Pick<MemoryRow, 'model' | 'engine' | 'recipe'>): string => [model, engine, recipe].join(' · ');

const lastRows = async (folder: string): Promise<readonly MemoryRow[]> =>
  // A file that this part of the benchmark wrote.
  (JSON.parse(await readFile(path.join(folder, 'memory.json'), 'utf8')) as { readonly rows: readonly MemoryRow[] }).rows;

/** Returns the row with an updated prediction; undefined if nothing was measured. */
function predictAnew(planned: MemoryCase, row: MemoryRow | undefined): MemoryRow | undefined {
  if (!row) return undefined;
  const { predictedBytes } = predict(planOf(configuredOf(planned)));
  return { ...row, predictedBytes, error: predictedBytes / row.measuredBytes - 1 };
}

interface Summary {
  readonly rows: readonly MemoryRow[];
  readonly median: number;
  readonly worst: number;
  /** Maximum growth of a long run; infinite if none was measured. */
  readonly grownBytes: number;
  readonly text: string;
}

/** The worst error and growth of these rows, and the median error. */
function numbersOf(rows: readonly MemoryRow[]): Omit<Summary, 'rows' | 'text'> {
  const errors = rows.map(({ error }) => Math.abs(error));
  const grownBy = rows.flatMap(({ grownBytes }) => (grownBytes === undefined ? [] : [grownBytes]));
  return {
    median: errors.length > 0 ? median(errors) : 0,
    worst: Math.max(0, ...errors),
    grownBytes: grownBy.length > 0 ? Math.max(...grownBy) : Number.POSITIVE_INFINITY,
  };
}

function summarize(rows: readonly MemoryRow[]): Summary {
  const lines = engineNames.flatMap(engine => {
    const own = rows.filter(row => row.engine === engine);
    if (own.length === 0) return [];
    const { median: middle, worst, grownBytes } = numbersOf(own);
    const beyond = own.filter(({ error }) => Math.abs(error) > WORST_ERROR).length;
    const cells = [
      own.length,
      `${(100 * middle).toFixed(1)}%`,
      `${(100 * worst).toFixed(1)}%`,
      beyond,
      Number.isFinite(grownBytes) ? (grownBytes / 1e6).toFixed(1) : '',
    ];
    return [`| ${engineCatalog[engine].label} | ${cells.join(' | ')} |`];
  });
  const text = `The goal is an error of ${100 * MEDIAN_ERROR}% in the median and ${100 * WORST_ERROR}% at worst. The last column below is the growth of a run of ${LONG_STEPS} steps, from the hundredth to the last.

| engine | configurations | median error | worst error | beyond the goal | growth, MB |
| --- | ---: | ---: | ---: | ---: | ---: |
${lines.join('\n')}`;
  return { rows, ...numbersOf(rows), text };
}

async function writeResults(folder: string, { rows, median: middle, worst, text }: Summary): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'memory.md'), markdown(rows, text));
  await writeFile(path.join(folder, 'memory.json'), `${JSON.stringify({ median: middle, worst, rows }, null, 2)}\n`);
}

/**
 * Measures all configurations. With `only`, writes the results after each row, so that an interrupted run keeps its measurements.
 *
 * @returns false if a process failed or the prediction misses its goal
 */
export async function runMemoryBench(params: MemoryBenchParams): Promise<boolean> {
  const planned = memoryCases(params);
  const folder = path.join(params.root, 'bench', 'results');
  const rowsBefore = async () => new Map((await lastRows(folder)).map(row => [keyOf(row), row]));
  const recorded = params.predict ? await rowsBefore() : new Map<string, MemoryRow>();
  const found = new Map<string, MemoryRow>();
  // Read on demand, because another process may measure other models.
  const results = async (): Promise<Summary> => {
    const kept = params.only === undefined ? recorded : await rowsBefore();
    return summarize(planned.flatMap(one => found.get(keyOf(one)) ?? kept.get(keyOf(one)) ?? []));
  };
  let failed = 0;
  for (const one of planned) {
    if (params.only !== undefined && !keyOf(one).includes(params.only)) continue;
    try {
      const row = params.predict ? predictAnew(one, recorded.get(keyOf(one))) : await measureCase(one, params);
      if (!row) continue;
      found.set(keyOf(row), row);
      console.error(
        `${row.model}, ${row.engine}, ${row.recipe}: ${megabytes(row.predictedBytes)} MB predicted, ${megabytes(row.measuredBytes)} measured, ${percent(row.error)}`,
      );
      if (params.only !== undefined && !params.quick && !params.predict) await writeResults(folder, await results());
    } catch (error) {
      failed++;
      console.error(messageOf(error));
    }
  }
  const summary = await results();
  console.error(summary.text);
  if (!params.quick) {
    await writeResults(folder, summary);
    if (params.only === undefined) await writePaperMemory(folder);
  }
  const { rows, median: middle, worst, grownBytes } = summary;
  if (params.json) console.log(JSON.stringify({ median: middle, worst, rows }));
  return failed === 0 && grownBytes <= MAX_GROWTH_BYTES && worst <= WORST_ERROR && middle <= MEDIAN_ERROR;
}
