/** answers.jsonl: every answer to a held-out prompt that a run's evaluations generated, one JSON object per line. */
import { appendFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeDurably, writeTextFile } from '../files/durable-file.ts';
import { makeFolder } from '../files/durable-folder.ts';
import { readRegularBlocks } from '../files/regular-file.ts';
import { codeOf } from '../protocol/error-facts.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import type { AnswerView } from '../protocol/view/run.ts';

const READ_BYTES = 2 ** 20;
/** Number of bytes to read of a line for its step, which is at its beginning. */
const STEP_BYTES = 32;
const NEWLINE = 10;
/** Maximum size of the original model's answers: ten thousand answers of a few kilobytes, the maximum of an evaluation. */
const MAX_BASE_BYTES = 64 * 2 ** 20;

const linesOf = (step: number, answers: readonly AnswerView[]): string =>
  answers.map(answer => `${JSON.stringify({ step, ...answer })}\n`).join('');

/** Appends the answers of one evaluation. @param step number of updates before it */
export const appendAnswers = (runDir: string, step: number, answers: readonly AnswerView[]): Promise<void> =>
  appendFile(path.join(runDir, RUN_FILES.answers), linesOf(step, answers));

/** Writes the answers of one evaluation to a separate file. @param step number of updates before it */
export async function writeAnswers(file: string, step: number, answers: readonly AnswerView[]): Promise<void> {
  await makeFolder(path.dirname(file));
  await writeTextFile(file, linesOf(step, answers));
}

/**
 * The answers of the original model, generated before the first update; empty if the folder has no such file, or the file does not begin
 * with them. Lines that are not answers are skipped.
 */
export async function readBaseAnswers(runDir: string): Promise<readonly AnswerView[]> {
  const found: AnswerView[] = [];
  try {
    let rest = Buffer.alloc(0);
    for await (const block of readRegularBlocks(path.join(runDir, RUN_FILES.answers), READ_BYTES, MAX_BASE_BYTES)) {
      const bytes = Buffer.concat([rest, block]);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      rest = bytes.subarray(end);
      for (const line of bytes.toString('utf8', 0, end).split('\n')) {
        if ((stepOf(line) ?? 0) > 0) return found;
        found.push(...answerOf(line));
      }
    }
    return found;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return [];
    throw error;
  }
}

const answerSchema = z.object({
  prompt: z.string(),
  reference: z.string(),
  answer: z.string(),
  scores: z.record(z.string(), z.number()),
});

function answerOf(line: string): AnswerView[] {
  try {
    const { data } = answerSchema.safeParse(JSON.parse(line));
    return data ? [data] : [];
  } catch {
    return [];
  }
}

/**
 * Removes the answers of evaluations after this step, and a line that a killed process left incomplete. No computation depends on this
 * file. It is replaced, not cut, so that whoever follows it begins anew.
 */
export async function rewindAnswers(runDir: string, step: number): Promise<void> {
  const file = path.join(runDir, RUN_FILES.answers);
  try {
    const end = await endOfAnswers(file, step);
    if (end === (await stat(file)).size) return;
    await writeDurably(file, async handle => {
      for await (const block of readRegularBlocks(file, READ_BYTES, end)) await handle.appendFile(block);
    });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** The offset after the last whole line up to a step. Steps are ascending within a file. */
async function endOfAnswers(file: string, step: number): Promise<number> {
  let [before, end] = [0, 0];
  let begun = '';
  for await (const block of readRegularBlocks(file, READ_BYTES)) {
    for (let from = 0; from < block.length; ) {
      const newline = block.indexOf(NEWLINE, from);
      const to = newline < 0 ? block.length : newline;
      begun += block.toString('latin1', from, Math.min(to, from + STEP_BYTES - begun.length));
      if (newline < 0) break;
      const found = stepOf(begun);
      if (found !== undefined && found > step) return end;
      from = newline + 1;
      if (found !== undefined) end = before + from;
      begun = '';
    }
    before += block.length;
  }
  return end;
}

/** The step, from the beginning of a line; undefined if the line is not ours. */
function stepOf(begun: string): number | undefined {
  const found = /^\{"step":(\d+)[,}]/.exec(begun)?.[1];
  return found === undefined ? undefined : Number(found);
}
