/** answers.jsonl: every answer that the evaluations of a run wrote to held-out prompts, one JSON object per line. */
import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { writeTextFile } from '../files/durable-file.ts';
import { readRegularText } from '../files/regular-file.ts';
import { isRecord } from '../narrow.ts';
import { RUN_FILES } from '../protocol/run-files.ts';
import type { AnswerView } from '../protocol/view/run.ts';

/** Longer text does not fit a string. */
const MAX_ANSWERS_BYTES = 256 * 2 ** 20;

/** Appends the answers of one evaluation. @param step updates before it */
export const appendAnswers = (runDir: string, step: number, answers: readonly AnswerView[]): Promise<void> =>
  appendFile(path.join(runDir, RUN_FILES.answers), answers.map(answer => `${JSON.stringify({ step, ...answer })}\n`).join(''));

/** Removes the answers of evaluations after this step, and lines that a killed process has not finished. No computation depends on this file. */
export async function rewindAnswers(runDir: string, step: number): Promise<void> {
  const file = path.join(runDir, RUN_FILES.answers);
  const text = await readRegularText(file, MAX_ANSWERS_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return;
  const kept = text.split('\n').filter(line => stepOf(line) <= step);
  await writeTextFile(file, kept.map(line => `${line}\n`).join(''));
}

/** Infinity for a line that is none. */
function stepOf(line: string): number {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) && typeof value.step === 'number' ? value.step : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
