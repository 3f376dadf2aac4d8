/** Measures the frontier model by model. Writes a table, a picture and a JSON file for each as soon as it is measured. */

import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { elementAt } from '../../trainer/narrow.ts';
import { MODEL_NAMES, type ModelName } from '../bench-models.ts';
import { describeWork } from '../configuration.ts';
import { Clock, guessAll, log, type MeasurementStore, measureAll, minutes } from '../measurements.ts';
import { disturbed, type Facts } from '../report.ts';
import { compareWork, coreSets, measureRates, type Rates, type Sides, withMemory } from '../run-side.ts';
import { frontierPlan, type Precision } from './frontier-plan.ts';
import { type Frontier, frontierMarkdown, frontierPicture, summaryMarkdown } from './frontier-report.ts';

export interface FrontierParams {
  readonly sides: Sides;
  readonly facts: Facts;
  readonly store: MeasurementStore;
  readonly models: readonly ModelName[];
  readonly precisions: readonly Precision[];
  readonly steps: number;
  readonly brief: boolean;
  readonly threads: number;
  readonly jobs: number;
  /** Folder for the results. */
  readonly results: string;
}

/** @returns false if something could not be measured, or if the two sides did not do the same work */
export async function runFrontier(params: FrontierParams): Promise<boolean> {
  const { sides, facts, store, models, precisions, steps, brief, threads, jobs } = params;
  const rounds = models.map(model => ({
    model,
    planned: precisions.flatMap(dtype => frontierPlan({ model, dtype, steps, brief })),
  }));
  const clock = new Clock(
    rounds.reduce((sum, { planned }) => sum + guessAll({ sides, planned, threads, store }), 0),
    jobs,
  );
  log(`frontier: ${rounds.reduce((sum, { planned }) => sum + planned.length, 0)} processes, about ${minutes(clock.left())}`);
  let isWhole = true;
  for (const { model, planned } of rounds) {
    log(`${describeWork(elementAt(planned, 0).configuration)}`);
    const rates: Partial<Record<Precision, Rates>> = {};
    for (const dtype of precisions) rates[dtype] = await measureRates(sides, coreSets(threads, jobs), dtype);
    const { rows: raw, failures } = await measureAll({ sides, planned, threads, jobs, clock, store });
    const rows = withMemory(raw);
    const failed = [...failures, ...compareWork(raw)];
    const notes = [...failed, ...disturbed(rows, facts.cores)];
    isWhole &&= failed.length === 0;
    await write(params, { model, facts, threads, jobs, steps, rows, rates, notes });
  }
  await writeSummary(params);
  return isWhole;
}

/** The name of the results file; those of a GPU do not replace those of the processor. */
const fileName = (model: string, { device }: Pick<Sides, 'device'>): string => `frontier-${model}${device === 'gpu' ? '-gpu' : ''}`;

async function write({ results, sides }: FrontierParams, frontier: Frontier): Promise<void> {
  await mkdir(results, { recursive: true });
  const name = fileName(frontier.model, sides);
  await writeFile(path.join(results, `${name}.json`), `${JSON.stringify(frontier)}\n`);
  await writeFile(path.join(results, `${name}.svg`), frontierPicture(frontier));
  await writeFile(path.join(results, `${name}.md`), frontierMarkdown(frontier, `${name}.svg`));
  log(`wrote ${path.join(results, name)}.md, .svg and .json`);
}

/** Summarizes all models that have results, including those of earlier runs. */
async function writeSummary({ results, sides }: FrontierParams): Promise<void> {
  const files = MODEL_NAMES.map(model => path.join(results, `${fileName(model, sides)}.json`)).filter(file => existsSync(file));
  // Files that `write` created.
  const all = await Promise.all(files.map(async file => JSON.parse(await readFile(file, 'utf8')) as Frontier));
  await writeFile(path.join(results, sides.device === 'gpu' ? 'frontier-gpu.md' : 'frontier.md'), summaryMarkdown(all));
}
