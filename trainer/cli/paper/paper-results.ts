/** Results of finished rows, compared with the paper's. */

import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../../files/durable-file.ts';
import { MAX_JSON_BYTES, readRegularText } from '../../files/regular-file.ts';
import { isResultOf } from '../../handlers/job-results.ts';
import type { TrainResult } from '../../handlers/train/train-run.ts';
import type { Evaluation } from '../../job/evaluate.ts';
import type { ChoiceResult } from '../../objective/causal/choice-evaluator.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { table } from '../../protocol/text/format.ts';
import { readRunState } from '../../run/run-state.ts';
import type { PaperColumn, PaperRow, PaperTable, PaperValues } from './paper-tables.ts';

/** The answers to the benchmarks, next to the run's own files. */
const BENCHMARKS_FILE = 'benchmarks.json';

export interface RowProgress {
  readonly state: 'new' | 'unfinished' | 'benchmarks' | 'finished';
  /** The values; undefined if there are none. */
  readonly values?: PaperValues;
}

/** The progress of a row's run. A run with unanswered benchmarks is trained but not finished. */
export async function readProgress(runDir: string, row: PaperRow, needsBenchmarks: boolean): Promise<RowProgress> {
  const state = await readRunState(runDir);
  if (!state) return { state: 'new' };
  if (state.state !== 'finished') return { state: 'unfinished' };
  const summary = await readJson(path.join(runDir, RUN_FILES.summary));
  if (!isResultOf('train', summary)) return { state: 'unfinished' };
  const benchmarks = benchmarksSchema.safeParse(await readJson(path.join(runDir, BENCHMARKS_FILE))).data;
  return { state: needsBenchmarks && !benchmarks ? 'benchmarks' : 'finished', values: valuesOf(summary, row, benchmarks) };
}

const benchmarksSchema: z.ZodType<Record<string, Pick<ChoiceResult, 'accuracy'>>> = z.record(
  z.string(),
  z.looseObject({ accuracy: z.number() }),
);

export const writeBenchmarks = (runDir: string, results: Readonly<Record<string, ChoiceResult>>): Promise<void> =>
  writeJson(path.join(runDir, BENCHMARKS_FILE), results);

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readRegularText(file, MAX_JSON_BYTES));
  } catch {
    return undefined;
  }
}

function valuesOf(
  summary: TrainResult,
  { data }: PaperRow,
  benchmarks: Record<string, Pick<ChoiceResult, 'accuracy'>> | undefined,
): PaperValues {
  const { after, trainable, memory, secondsPerStep } = summary;
  const answers = Object.values(benchmarks ?? {});
  const mean = answers.reduce((sum, { accuracy }) => sum + accuracy, 0) / answers.length;
  return {
    quality: after ? qualityOf(after, data) : undefined,
    trained: trainable / 1e6,
    memory: memory ? memory.mem / 1e9 : undefined,
    mean: answers.length > 0 ? 100 * mean : undefined,
    seconds: secondsPerStep ?? undefined,
  };
}

/** The metric of the paper in percent: Matthews for CoLA, Pearson for STS-B, accuracy for the others. */
function qualityOf({ labels, measures }: Evaluation, data: PaperRow['data']): number | undefined {
  const share = data === 'cola' ? measures?.matthews : data === 'stsb' ? measures?.pearson : labels?.accuracy;
  return share === undefined ? undefined : 100 * share;
}

const HEADS: Readonly<Record<PaperColumn, string>> = {
  quality: 'quality %',
  trained: 'trained M',
  memory: 'memory GB',
  mean: 'mean of 7 %',
  seconds: 's a step',
};

/** A table of the paper's numbers next to ours; '–' for a missing one. */
export function resultTable({ rows, columns }: PaperTable, results: ReadonlyMap<string, PaperValues>): string {
  const head = ['row', ...columns.flatMap(column => [`paper: ${HEADS[column]}`, `ours: ${HEADS[column]}`])];
  const lines = rows.map(row => {
    const ours = results.get(row.id);
    return [row.title, ...columns.flatMap(column => [shown(row.paper[column]), shown(ours?.[column])])];
  });
  return table([head, ...lines]);
}

const shown = (value: number | undefined): string =>
  value === undefined || !Number.isFinite(value) ? '–' : value !== 0 && Math.abs(value) < 0.1 ? value.toPrecision(2) : value.toFixed(2);
