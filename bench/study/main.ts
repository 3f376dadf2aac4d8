/** `npm run study`: starts the workers, runs the parts until they are done or time is up, and writes the page from all rows. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../../trainer/files/durable-file.ts';
import type { StudySources } from './data.ts';
import { figures } from './figures.ts';
import { memoryFigures } from './memory-figures.ts';
import { studyPage } from './page.ts';
import { type Part, parts, tinyTask } from './plan.ts';
import { Pool } from './pool.ts';
import { appendRow, readRows, type StudyRow } from './rows.ts';
import { runStudy } from './study.ts';

/** The request from `scripts/bench-study.mjs`. */
export interface StudyRequest {
  readonly cacheDir: string;
  /** The folder of study.jsonl, study.md and the figures. */
  readonly results: string;
  readonly sources: StudySources;
  /** Names of tasks; empty for all. */
  readonly tasks: readonly string[];
  /** Names of arms; empty for all. */
  readonly arms: readonly string[];
  /** Time limit; none if absent. */
  readonly minutes?: number;
  readonly workers: number;
  readonly threads: number;
  /** True for two updates per run, to show that every part works. */
  readonly tiny: boolean;
  readonly script: string;
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const minutesSince = (began: number): string => `${((performance.now() - began) / 60_000).toFixed(1)} min`;

/** @returns true if all parts are done */
export async function study(request: StudyRequest): Promise<boolean> {
  const { results, cacheDir, sources, threads, minutes = Number.POSITIVE_INFINITY } = request;
  const began = performance.now();
  const folder = path.join(cacheDir, 'study');
  await mkdir(folder, { recursive: true });
  const file = path.join(results, 'study.jsonl');
  const rows = await readRows(file);
  const { script, flags, environment, workers } = request;
  const setup = { cacheDir, folder, threads, workers, sources };
  const pool = new Pool({ script, count: workers, flags, environment, setup, deadline: began + 60_000 * minutes });
  try {
    const isDone = await runStudy({
      parts: chosenParts(request),
      rows,
      ask: (work, place) => pool.ask(work, place),
      onRow: async row => {
        rows.push(row);
        await appendRow(file, row);
        process.stderr.write(`${minutesSince(began)} ${describe(row)}\n`);
      },
    });
    process.stderr.write(`${minutesSince(began)} ${isDone ? 'all parts are done' : 'the time is up; npm run study continues'}\n`);
    return isDone;
  } finally {
    pool.close();
    await writeStudy(results, rows);
  }
}

const chosenParts = ({ tasks, arms, tiny }: StudyRequest): Part[] =>
  parts
    .filter(({ task }) => tasks.length === 0 || tasks.includes(task.name))
    .map(part => ({ ...part, arms: part.arms.filter(arm => arms.length === 0 || arms.includes(arm)) }))
    .filter(part => part.arms.length > 0)
    .map(part => (tiny ? { ...part, task: tinyTask(part.task) } : part));

/** Writes the page and its figures from all rows. */
async function writeStudy(results: string, rows: readonly StudyRow[]): Promise<void> {
  await writeTextFile(path.join(results, 'study.md'), studyPage(rows));
  for (const [name, svg] of [...figures(rows), ...memoryFigures(rows)]) await writeTextFile(path.join(results, name), svg);
}

function describe({ task, arm, purpose, learningRate, seed, result, seconds }: StudyRow): string {
  const accuracy = result?.accuracy === undefined ? '' : `, ${(100 * result.accuracy).toFixed(1)}%`;
  const shown = result === undefined ? 'diverged' : `loss ${result.loss.toFixed(3)}${accuracy}`;
  return `${task}: ${arm}, ${purpose}, rate ${learningRate}, seed ${seed}: ${shown} (${seconds.toFixed(1)} s)`;
}
