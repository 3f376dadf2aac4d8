/** Slurm's queue as seen by its user, read with as few calls of `squeue` as possible. */
import { counted } from '../protocol/text/format.ts';
import { isAlive, listOwnJobs, listWaiting, type SlurmJob, shownState } from './slurm.ts';

/** A job and its position in the queue; a job array has several tasks. */
export interface QueuedJob {
  readonly tasks: readonly SlurmJob[];
  /** Number of jobs before it by priority in its partition; present only if it is waiting. */
  readonly before?: number;
}

/** Returns a job with its position in the queue. @throws RunError 'slurm-failed' */
export async function placeInQueue(tasks: readonly SlurmJob[], waitingIn: typeof listWaiting = listWaiting): Promise<QueuedJob> {
  const [first] = tasks;
  if (first === undefined || !tasks.every(isPending)) return { tasks };
  const before = (await waitingIn(first.partition)).indexOf(first.id);
  return before < 0 ? { tasks } : { tasks, before };
}

/** Returns this user's jobs that Slurm still knows, by id. @throws RunError 'slurm-failed' */
export async function readQueue(): Promise<ReadonlyMap<string, QueuedJob>> {
  const jobs = new Map<string, SlurmJob[]>();
  for (const task of await listOwnJobs()) {
    const tasks = jobs.get(task.id);
    if (tasks) tasks.push(task);
    else jobs.set(task.id, [task]);
  }
  const asked = new Map<string, Promise<readonly string[]>>();
  const waitingIn = (partition: string): Promise<readonly string[]> => {
    const answer = asked.get(partition) ?? listWaiting(partition);
    asked.set(partition, answer);
    return answer;
  };
  return new Map(await Promise.all([...jobs].map(async ([id, tasks]) => [id, await placeInQueue(tasks, waitingIn)] as const)));
}

export const isPending = ({ state }: SlurmJob): boolean => state === 'PENDING';

/** Describes a job: "pending (Resources), behind 3 jobs", "running on n1". */
export function describeJob({ tasks, before }: QueuedJob): string {
  const job = tasks.find(task => isAlive(task) && !isPending(task)) ?? tasks.find(isAlive) ?? tasks[0];
  if (job === undefined) return 'ended';
  const state = shownState(job.state);
  if (!isPending(job)) return job.nodes === '' ? state : `${state} on ${job.nodes}`;
  const place = before === undefined ? '' : before === 0 ? ', next in its partition' : `, behind ${counted(before, 'job')}`;
  return `${state} (${job.reason})${place}`;
}
