/** Slurm through its own commands. */
import { runCommand } from '../engine/install/run-command.ts';
import { RunError } from '../run-error.ts';

export interface SlurmJob {
  /** Id of the job; tasks of a job array have the array's id. */
  readonly id: string;
  /** State as squeue writes it: PENDING, RUNNING, COMPLETED … */
  readonly state: string;
  /** Reason why it is waiting, or why it ended; 'None' if there is none. */
  readonly reason: string;
  /** Nodes that it runs on, in Slurm's list notation; empty while it waits. */
  readonly nodes: string;
  readonly partition: string;
}

/** States of a job that runs or will run. */
const ALIVE: ReadonlySet<string> = new Set([
  ...['PENDING', 'CONFIGURING', 'RUNNING', 'COMPLETING', 'SUSPENDED', 'STOPPED', 'SIGNALING', 'STAGE_OUT', 'RESIZING'],
  ...['REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'SPECIAL_EXIT', 'RESV_DEL_HOLD'],
]);

/** Formats a state: 'running', 'node fail'. */
export const shownState = (state: string): string => state.toLowerCase().replaceAll('_', ' ');

export const isAlive = ({ state }: SlurmJob): boolean => ALIVE.has(state);

const KNOWS_NOTHING = /invalid job id/i;

/** Runs a Slurm command. @returns the lines of its output @throws RunError 'slurm-failed' with the program's message */
async function ask(program: string, args: readonly string[], timeoutMs?: number): Promise<readonly string[]> {
  const lines: string[] = [];
  const { status, output } = await runCommand(program, args, { onLine: line => lines.push(line), timeoutMs });
  if (status === 0) return lines;
  const hint = status < 0 ? 'Run it where the commands of Slurm are installed, such as the login node of a cluster' : undefined;
  throw new RunError('slurm-failed', `${program} failed${output.trim() === '' ? '' : `: ${output.trim()}`}`, hint);
}

/** Submits a script. @param log file name with %j for the job id @returns the job id @throws RunError 'slurm-failed' */
export async function submitJob(script: string, log: string): Promise<string> {
  const answer = (await ask('sbatch', ['--parsable', `--output=${log}`, script])).join('\n');
  // "12" or "12;cluster", after warnings.
  const id = /^(\d+)(?:;.*)?$/m.exec(answer)?.[1];
  if (id === undefined) throw new RunError('slurm-failed', `sbatch returned no job id: ${answer}`);
  return id;
}

function jobOf(line: string): SlurmJob | undefined {
  const [id = '', state = '', reason = '', nodes = '', partition = ''] = line.trim().split('|');
  return state === '' ? undefined : { id, state, reason, nodes, partition };
}

/** Timeout for a list that is read in the background. */
const LIST_MS = 10_000;

async function squeue(options: readonly string[], timeoutMs?: number): Promise<readonly SlurmJob[]> {
  const lines = await ask('squeue', ['--noheader', '--states=all', ...options, '--format=%F|%T|%r|%N|%P'], timeoutMs);
  return lines.flatMap(line => jobOf(line) ?? []);
}

/**
 * Returns the tasks of a job that Slurm still knows, one unless it is a job array; it forgets ended ones after minutes.
 * @throws RunError 'slurm-failed'
 */
export async function findTasks(id: string): Promise<readonly SlurmJob[]> {
  try {
    return await squeue(['--array', `--jobs=${id}`]);
  } catch (error) {
    if (error instanceof RunError && KNOWS_NOTHING.test(error.message)) return [];
    throw error;
  }
}

/** Returns a job; undefined if Slurm no longer knows it. @throws RunError 'slurm-failed' */
export const findJob = async (id: string): Promise<SlurmJob | undefined> => (await findTasks(id))[0];

/** Returns all tasks of this user's jobs that Slurm still knows. @throws RunError 'slurm-failed' */
export const listOwnJobs = (): Promise<readonly SlurmJob[]> => squeue(['--array', '--me'], LIST_MS);

/** Returns the ids of the jobs waiting for a partition, next one first. @throws RunError 'slurm-failed' */
export const listWaiting = (partition: string): Promise<readonly string[]> =>
  ask('squeue', ['--noheader', '--states=PENDING', `--partition=${partition}`, '--sort=-p,i', '--format=%F'], LIST_MS);

/** Ends a job without saving. @throws RunError 'slurm-failed' */
export async function cancelJob(id: string): Promise<void> {
  await ask('scancel', [id]);
}

/** Removes the waiting tasks of a job array from the queue. @throws RunError 'slurm-failed' */
export async function cancelWaiting(id: string): Promise<void> {
  await ask('scancel', ['--state=PENDING', id]);
}

/** Makes the processes of a job save and end. @throws RunError 'slurm-failed' */
export async function stopJob(id: string): Promise<void> {
  await ask('scancel', ['--signal=TERM', id]);
}
