/** Submitting a script to Slurm, with its files next to the folder of a run or a sweep. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { slurmFiles, slurmLog } from '../slurm/job-script.ts';
import { readProfile, type SlurmProfile } from '../slurm/profile.ts';
import { submitJob } from '../slurm/slurm.ts';
import { writeSubmission } from '../slurm/submission.ts';
import type { CommandContext } from './command.ts';

export interface SlurmOptions {
  /** A profile; without it, that next to the recipe or the user's own. */
  readonly profile?: string;
  readonly detach: boolean;
}

/** @param folder in which a profile may be @throws RunError 'bad-profile' */
export function profileOf({ cwd, settings }: CommandContext, folder: string, { profile }: SlurmOptions): Promise<SlurmProfile> {
  return readProfile(profile === undefined ? undefined : path.resolve(cwd, profile), [folder, settings.configDir]);
}

/** This program, as a script starts it: node and its script. */
export const ownCommand = (): readonly string[] => [process.execPath, ...process.argv.slice(1, 2)];

interface SubmittedScript {
  /** The folder of the run or the sweep. */
  readonly folder: string;
  readonly script: string;
  /** The name of its log, with Slurm's patterns. */
  readonly logName: string;
  /** The recipe that the script trains. */
  readonly recipe?: string;
}

/** @returns the number of the job @throws RunError 'slurm-failed' */
export async function submitScript({ folder, script, logName, recipe }: SubmittedScript): Promise<string> {
  const files = slurmFiles(folder);
  await mkdir(files.folder, { recursive: true });
  await rm(files.stop, { force: true });
  if (recipe !== undefined) await writeFile(files.recipe, recipe);
  await writeFile(files.script, script, { mode: 0o755 });
  const id = await submitJob(files.script, slurmLog(files, logName));
  await writeSubmission(folder, id);
  return id;
}
