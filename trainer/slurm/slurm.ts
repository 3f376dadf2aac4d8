/** Slurm through its own commands. */
import { runCommand } from '../engine/install/run-command.ts';
import { RunError } from '../run-error.ts';

export interface SlurmJob {
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

/** @throws RunError 'slurm-failed' with what the program said */
async function ask(program: string, args: readonly string[]): Promise<string> {
  const { status, output } = await runCommand(program, args);
  if (status === 0) return output.trim();
  const hint = status < 0 ? 'Run it where the commands of Slurm are installed, such as the login node of a cluster' : undefined;
  throw new RunError('slurm-failed', `${program} failed${output.trim() === '' ? '' : `: ${output.trim()}`}`, hint);
}

/** @param log a file name with %j for the number of the job @returns that number @throws RunError 'slurm-failed' */
export async function submitJob(script: string, log: string): Promise<string> {
  const answer = await ask('sbatch', ['--parsable', `--output=${log}`, script]);
  // "12" or "12;cluster", after warnings.
  const id = /^(\d+)(?:;.*)?$/m.exec(answer)?.[1];
  if (id === undefined) throw new RunError('slurm-failed', `sbatch gave no number of a job: ${answer}`);
  return id;
}

function jobOf(line: string): SlurmJob | undefined {
  const [state = '', reason = '', nodes = '', partition = ''] = line.trim().split('|');
  return state === '' ? undefined : { state, reason, nodes, partition };
}

/** Undefined if Slurm no longer knows the job: it forgets those that have ended, after minutes. @throws RunError 'slurm-failed' */
export const findJob = async (id: string): Promise<SlurmJob | undefined> => (await listJobs(id))[0];

/** The tasks of a job array that Slurm still knows, those that wait and those that have ended too. @throws RunError 'slurm-failed' */
export const findTasks = (id: string): Promise<readonly SlurmJob[]> => listJobs(id, '--array');

async function listJobs(id: string, ...options: readonly string[]): Promise<readonly SlurmJob[]> {
  try {
    const lines = await ask('squeue', ['--noheader', '--states=all', ...options, `--jobs=${id}`, '--format=%T|%r|%N|%P']);
    return lines.split('\n').flatMap(line => jobOf(line) ?? []);
  } catch (error) {
    if (error instanceof RunError && KNOWS_NOTHING.test(error.message)) return [];
    throw error;
  }
}

/** Jobs of its partition that are before it by priority. @throws RunError 'slurm-failed' */
export async function jobsBefore(id: string, { partition }: SlurmJob): Promise<number> {
  const list = await ask('squeue', ['--noheader', '--states=PENDING', `--partition=${partition}`, '--sort=-p,i', '--format=%A']);
  return Math.max(0, list.split('\n').indexOf(id));
}

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
