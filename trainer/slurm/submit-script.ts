/** Submits a script to Slurm, with its files next to the folder of a run or a sweep. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { messageOf } from '../protocol/error-facts.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { RunError } from '../run-error.ts';
import { slurmFiles, slurmLog } from './job-script.ts';
import type { SlurmProfile } from './profile.ts';
import { findTasks, isAlive, submitJob } from './slurm.ts';
import { readSubmission, removeSubmission, writeSubmission } from './submission.ts';

/** Options of a submission, whatever it trains. */
export interface SubmitOptions {
  readonly profile: SlurmProfile;
  /** The program and its first arguments, such as node and its script. */
  readonly command: readonly string[];
  /** True if a person has typed the command, so the job's processes may open ports if the recipe says so. */
  readonly opensPorts: boolean;
}

/** Returns the command that starts this program from a script: node and its script. */
export const ownCommand = (): readonly string[] => [process.execPath, ...process.argv.slice(1, 2)];

/** Checks that the folder has no job. @throws RunError 'run-busy' if Slurm has a job for the folder; 'slurm-failed' */
export async function requireNoJob(folder: string): Promise<void> {
  const before = await readSubmission(folder);
  if (before === undefined || !(await findTasks(before.id)).some(isAlive)) return;
  throw new RunError(
    'run-busy',
    `job ${before.id} of Slurm already works on ${folder}`,
    `Stop it first: rowtune runs --stop ${shellWord(folder)}`,
  );
}

interface SubmittedScript {
  /** The folder of the run or the sweep. */
  readonly folder: string;
  readonly script: string;
  /** Name of its log, with Slurm's patterns. */
  readonly logName: string;
  /** The recipe that the script trains. */
  readonly recipe?: string;
}

/** Matches the message of Slurm if its controller did not answer in time, and ours for an answer without an id. */
const LOST_ANSWER = /timed out|no job id/i;

/** Writes the files and submits the script. @returns the id of the job @throws RunError 'slurm-failed' */
export async function submitScript({ folder, script, logName, recipe }: SubmittedScript): Promise<string> {
  const files = slurmFiles(folder);
  await mkdir(files.folder, { recursive: true });
  await rm(files.stop, { force: true });
  if (recipe !== undefined) await writeFile(files.recipe, recipe);
  await writeFile(files.script, script, { mode: 0o755 });
  const id = await submitJob(files.script, slurmLog(files, logName)).catch(async error => {
    // An answer that was lost leaves open whether the job is queued, and it would need the files.
    if (!existsSync(files.record) && !LOST_ANSWER.test(messageOf(error))) await removeSubmission(folder);
    throw error;
  });
  await writeSubmission(folder, id);
  return id;
}
