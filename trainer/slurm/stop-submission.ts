/** Ends a run or a sweep that Slurm has, so that it does not continue by itself. */
import { writeFile } from 'node:fs/promises';
import { slurmFiles } from './job-script.ts';
import { isPending } from './queue.ts';
import { cancelJob, cancelWaiting, findTasks, isAlive, stopJob } from './slurm.ts';
import type { Submission } from './submission.ts';

/**
 * Takes what waits out of the queue; what runs saves and ends after its current update, or ends at once.
 * @returns 'ended' if there was nothing to end, 'dequeued' if everything waited
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
