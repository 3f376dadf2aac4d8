/** Stops a run or a sweep that was submitted to Slurm, so that it does not continue by itself. */
import { writeFile } from 'node:fs/promises';
import { slurmFiles } from './job-script.ts';
import { isPending } from './queue.ts';
import { cancelJob, cancelWaiting, findTasks, isAlive, stopJob } from './slurm.ts';
import type { Submission } from './submission.ts';

/**
 * Removes waiting tasks from the queue; running ones save and end after their current update, or end immediately.
 * @returns 'ended' if there was nothing to end, 'dequeued' if everything was waiting
 * @throws RunError 'slurm-failed'
 */
export async function stopSubmission(
  folder: string,
  { id }: Pick<Submission, 'id'>,
  { save }: { readonly save: boolean },
): Promise<'ended' | 'dequeued' | 'stopping'> {
  const alive = (await findTasks(id)).filter(isAlive);
  if (alive.length === 0) return 'ended';
  await writeFile(slurmFiles(folder).stop, '');
  const isWaiting = alive.every(isPending);
  if (save) await cancelWaiting(id);
  else await cancelJob(id);
  if (save && !isWaiting) await stopJob(id);
  return isWaiting ? 'dequeued' : 'stopping';
}
