/** metrics.jsonl: one JSON object per line, appended; an incomplete line of a killed process is dropped on resume. */

import { appendFile, open } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { readLineBlocks } from '../files/read-lines.ts';
import { isRecord, recordIn } from '../narrow.ts';
import { codeOf } from '../protocol/error-facts.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import { namingFullDisk } from '../run-error.ts';

/** A line of metrics, named as in Hugging Face: step, epoch, loss, learning_rate, grad_norm, eval_loss … */
export type MetricsLine = Readonly<Record<string, number>>;

/** @throws RunError 'disk-full' */
export async function appendMetrics(runDir: string, line: MetricsLine): Promise<void> {
  const file = path.join(runDir, RUN_FILES.metrics);
  await appendFile(file, `${JSON.stringify(line)}\n`).catch(error => {
    throw namingFullDisk(error, file);
  });
}

/** Flushes the appended lines: a checkpoint must not exist on disk without the lines before it. */
export async function syncMetrics(runDir: string): Promise<void> {
  const handle = await open(path.join(runDir, RUN_FILES.metrics), 'a');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Maximum size of the file: millions of lines. */
const MAX_METRICS_BYTES = 256 * 2 ** 20;

/** True if a value is a line. JSON has no NaN: a diverged loss is null. */
const isLine = (value: unknown): value is MetricsLine =>
  isRecord(value) && Object.values(value).every(each => typeof each === 'number' || each === null);

/** Yields whole lines in order; lines that are not objects of numbers are skipped. */
async function* linesWith(runDir: string, word: string): AsyncGenerator<MetricsLine> {
  try {
    for await (const lines of readLineBlocks(path.join(runDir, RUN_FILES.metrics), MAX_METRICS_BYTES))
      for (const line of lines) {
        const value = line.includes(word) ? recordIn(line) : undefined;
        if (isLine(value)) yield value;
      }
  } catch (error) {
    // Only a missing file counts as empty: the content of a failing disk must not be overwritten.
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** Yields the lines that have a metric, in order, without holding the others in memory. @param key its name in the file */
export const linesOfMetric = (runDir: string, key: string): AsyncGenerator<MetricsLine> => linesWith(runDir, JSON.stringify(key));

/** Reads all lines in order. */
export async function readMetrics(runDir: string): Promise<MetricsLine[]> {
  const found: MetricsLine[] = [];
  for await (const line of linesWith(runDir, '')) found.push(line);
  return found;
}

/**
 * Removes the lines that a run wrote after the checkpoint from which it resumes. No computation depends on this file.
 * @returns the lines up to the checkpoint, and whether they exist
 */
export async function rewindMetrics(
  runDir: string,
  step: number,
): Promise<{ readonly isWhole: boolean; readonly kept: readonly MetricsLine[] }> {
  const kept = (await readMetrics(runDir)).filter(line => (line.step ?? 0) <= step);
  await writeMetrics(runDir, kept);
  return { isWhole: step <= 0 || kept.length > 0, kept };
}

/** Removes the evaluation of a step that is evaluated again, so that it does not appear twice. */
export async function forgetEvaluation(runDir: string, step: number): Promise<void> {
  const lines = await readMetrics(runDir);
  const kept = lines.filter(line => line.step !== step || line.eval_loss === undefined);
  if (kept.length < lines.length) await writeMetrics(runDir, kept);
}

const writeMetrics = (runDir: string, lines: readonly MetricsLine[]): Promise<void> =>
  writeTextFile(path.join(runDir, RUN_FILES.metrics), lines.map(line => `${JSON.stringify(line)}\n`).join(''));
