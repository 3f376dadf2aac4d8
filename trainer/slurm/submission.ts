/** The Slurm job that was submitted for the folder of a run or a sweep. */
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
  /** Id of the job. */
  id: z.string().regex(/^\d+$/),
  submittedAt: z.iso.datetime(),
});

export type Submission = Readonly<z.infer<typeof record>>;

/** Reads the record; undefined if nothing was submitted for the folder. @throws RunError 'slurm-failed' for a damaged record */
export async function readSubmission(folder: string): Promise<Submission | undefined> {
  const { record: file } = slurmFiles(folder);
  if (!existsSync(file)) return undefined;
  const { data } = record.safeParse(recordIn(await readRegularText(file, MAX_STATE_BYTES)));
  if (!data)
    throw new RunError('slurm-failed', `${file} does not contain a Slurm job id`, 'Find the job with squeue --me, then delete the file');
  return data;
}

export const writeSubmission = (folder: string, id: string): Promise<void> =>
  writeJson(slurmFiles(folder).record, { id, submittedAt: new Date().toISOString() });

/** Log of the job, or of one of its tasks. */
const LOG = /^log-\d+(?:_\d+)?\.txt$/;

/** Removes only the files that a submission has written. */
export async function removeSubmission(folder: string): Promise<void> {
  const { folder: own, ...files } = slurmFiles(folder);
  if (!existsSync(own)) return;
  const logs = (await readdir(own)).filter(name => LOG.test(name)).map(name => path.join(own, name));
  // The record is removed last: as long as it exists, the folder is recognized.
  for (const file of [...logs, files.recipe, files.script, files.stop, files.record]) await rm(file, { force: true });
  await rmdir(own).catch(() => undefined);
}
