/** Slurm through its own commands. */
import { runCommand } from '../engine/install/run-command.ts';
import { RunError } from '../run-error.ts';

export interface SlurmJob {
  /** Its number; tasks of a job array have that of the array. */
  readonly id: string;
  /** As squeue writes it: PENDING, RUNNING, COMPLETED … */
  readonly state: string;
  /** Why it waits, or why it ended; 'None' if there is nothing to say. */
  readonly reason: string;
  /** The nodes that it runs on, as a list of Slurm; empty while it waits. */
  readonly nodes: string;
  readonly partition: string;
}

/** States of a job that runs or will run. */
const ALIVE: ReadonlySet<string> = new Set([
  ...['PENDING', 'CONFIGURING', 'RUNNING', 'COMPLETING', 'SUSPENDED', 'STOPPED', 'SIGNALING', 'STAGE_OUT', 'RESIZING'],
  ...['REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'SPECIAL_EXIT', 'RESV_DEL_HOLD'],
]);

/** A state as text: 'running', 'node fail'. */
export const shownState = (state: string): string => state.toLowerCase().replaceAll('_', ' ');

export const isAlive = ({ state }: SlurmJob): boolean => ALIVE.has(state);

const KNOWS_NOTHING = /invalid job id/i;

/** @returns the lines of its answer @throws RunError 'slurm-failed' with what the program said */
async function ask(program: string, args: readonly string[], timeoutMs?: number): Promise<readonly string[]> {
  const lines: string[] = [];
  const { status, output } = await runCommand(program, args, { onLine: line => lines.push(line), timeoutMs });
  if (status === 0) return lines;
  const hint = status < 0 ? 'Run it where the commands of Slurm are installed, such as the login node of a cluster' : undefined;
  throw new RunError('slurm-failed', `${program} failed${output.trim() === '' ? '' : `: ${output.trim()}`}`, hint);
}

/** @param log a file name with %j for the number of the job @returns that number @throws RunError 'slurm-failed' */
export async function submitJob(script: string, log: string): Promise<string> {
  const answer = (await ask('sbatch', ['--parsable', `--output=${log}`, script])).join('\n');
  // "12" or "12;cluster", after warnings.
  const id = /^(\d+)(?:;.*)?$/m.exec(answer)?.[1];
  if (id === undefined) throw new RunError('slurm-failed', `sbatch gave no number of a job: ${answer}`);
  return id;
}

function jobOf(line: string): SlurmJob | undefined {
  const [id = '', state = '', reason = '', nodes = '', partition = ''] = line.trim().split('|');
  return state === '' ? undefined : { id, state, reason, nodes, partition };
}

/** The longest wait for a list that is read in the background. */
const LIST_MS = 10_000;

async function squeue(options: readonly string[], timeoutMs?: number): Promise<readonly SlurmJob[]> {
  const lines = await ask('squeue', ['--noheader', '--states=all', ...options, '--format=%F|%T|%r|%N|%P'], timeoutMs);
  return lines.flatMap(line => jobOf(line) ?? []);
}

/** The tasks of a job that Slurm still knows, one unless it is a job array; it forgets those that have ended, after minutes. @throws RunError 'slurm-failed' */
export async function findTasks(id: string): Promise<readonly SlurmJob[]> {
  try {
    return await squeue(['--array', `--jobs=${id}`]);
  } catch (error) {
    if (error instanceof RunError && KNOWS_NOTHING.test(error.message)) return [];
    throw error;
  }
}

/** Undefined if Slurm no longer knows the job. @throws RunError 'slurm-failed' */
export const findJob = async (id: string): Promise<SlurmJob | undefined> => (await findTasks(id))[0];

/** All tasks of this user's jobs that Slurm still knows. @throws RunError 'slurm-failed' */
export const listOwnJobs = (): Promise<readonly SlurmJob[]> => squeue(['--array', '--me'], LIST_MS);

/** The numbers of the jobs that wait for a partition, the first one first. @throws RunError 'slurm-failed' */
export const listWaiting = (partition: string): Promise<readonly string[]> =>
  ask('squeue', ['--noheader', '--states=PENDING', `--partition=${partition}`, '--sort=-p,i', '--format=%F'], LIST_MS);

/** Ends a job without saving. @throws RunError 'slurm-failed' */
export async function cancelJob(id: string): Promise<void> {
  await ask('scancel', [id]);
}

/** Takes the tasks of a job array that wait out of the queue. @throws RunError 'slurm-failed' */
export async function cancelWaiting(id: string): Promise<void> {
  await ask('scancel', ['--state=PENDING', id]);
}

/** Lets the processes of a job save and end. @throws RunError 'slurm-failed' */
export async function stopJob(id: string): Promise<void> {
  await ask('scancel', ['--signal=TERM', id]);
}
