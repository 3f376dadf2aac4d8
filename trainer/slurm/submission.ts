/** The job that Slurm was given for the folder of a run or a sweep. */
import { existsSync } from 'node:fs';
import { readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeJson } from '../files/durable-file.ts';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { recordIn } from '../narrow.ts';
import { RunError } from '../run-error.ts';
import { slurmFiles } from './job-script.ts';

const record = z.object({
  /** The number of the job. */
  id: z.string().regex(/^\d+$/),
  submittedAt: z.iso.datetime(),
});

export type Submission = Readonly<z.infer<typeof record>>;

/** Undefined if Slurm was given nothing for the folder. @throws RunError 'slurm-failed' for a damaged record */
export async function readSubmission(folder: string): Promise<Submission | undefined> {
  const { record: file } = slurmFiles(folder);
  if (!existsSync(file)) return undefined;
  const { data } = record.safeParse(recordIn(await readRegularText(file, MAX_STATE_BYTES)));
  if (!data)
    throw new RunError('slurm-failed', `${file} does not name a job of Slurm`, 'Find the job with squeue --me, then delete the file');
  return data;
}

export const writeSubmission = (folder: string, id: string): Promise<void> =>
  writeJson(slurmFiles(folder).record, { id, submittedAt: new Date().toISOString() });

/** Its log, or that of a task of it. */
const LOG = /^log-\d+(?:_\d+)?\.txt$/;

/** Removes what a submission has written, and nothing else. */
export async function removeSubmission(folder: string): Promise<void> {
  const { folder: own, ...files } = slurmFiles(folder);
  if (!existsSync(own)) return;
  const logs = (await readdir(own)).filter(name => LOG.test(name)).map(name => path.join(own, name));
  // The record goes last: as long as it is there, the folder is recognized.
  for (const file of [...logs, files.recipe, files.script, files.stop, files.record]) await rm(file, { force: true });
  await rmdir(own).catch(() => undefined);
}
