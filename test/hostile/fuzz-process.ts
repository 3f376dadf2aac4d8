/** Reads mutated files, one per message; the process that started it watches its time and memory. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { describeFailure } from '../../trainer/run-error.ts';
import { formats } from './formats.ts';
import { type FuzzAnswer, type FuzzRequest, fuzzRequest } from './fuzz-messages.ts';
import { mutated } from './mutate.ts';
import { randomOf } from './trial.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-fuzz-'));

async function read({ format: name, example, seed, keepAs }: FuzzRequest): Promise<FuzzAnswer> {
  const format = formats[name];
  if (!format) throw new Error(`no format ${name}`);
  const bytes = seed ? mutated(readFileSync(example), format.isText, randomOf(...seed)) : readFileSync(example);
  const file = join(folder, name.replaceAll(' ', '-'), format.fileName(example));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  writeFileSync(keepAs, bytes);
  const answer = { isError: false, peakBytes: 0 };
  try {
    await format.read(file);
    return { ...answer, peakBytes: peak() };
  } catch (error) {
    const { unexpected } = describeFailure(error);
    const problem = unexpected ? (error instanceof Error ? (error.stack ?? error.message) : String(error)) : undefined;
    return { isError: true, problem, peakBytes: peak() };
  } finally {
    rmSync(dirname(file), { recursive: true, force: true });
  }
}

/** Returns the peak memory of the process in bytes. */
const peak = (): number => process.resourceUsage().maxRSS * 1024;

/** Delay in ms for unhandled errors, which come shortly after the answer and belong to this file. */
const MOMENT_MS = 3;

process.on('message', async message => {
  const answer = await read(fuzzRequest.parse(message));
  await delay(MOMENT_MS);
  process.send?.(answer);
});
process.on('disconnect', () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
});
// An unhandled error would end a program; that is the finding, rather than the end of this process.
process.on('uncaughtException', error => {
  process.send?.({ isError: true, problem: `nobody waits for: ${error.stack}`, peakBytes: peak() } satisfies FuzzAnswer);
});
