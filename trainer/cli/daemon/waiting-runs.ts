/** Runs that a daemon has accepted and whose folders do not exist yet: they wait for other jobs, or their process has just started. */
import { isWithin, realPath } from '../../files/real-path.ts';
import { isTrainingKind } from '../../protocol/messages/job-messages.ts';
import type { JobRecord, RunInfo } from '../../protocol/messages/rpc-messages.ts';
import { folderName } from '../../protocol/run/run-names.ts';
import type { CommandContext } from '../command.ts';
import { connectIfRunning } from './daemon-client.ts';

/** The longest wait for a daemon, which a list of runs can do without. */
const DAEMON_TIMEOUT_MS = 2000;

/** The trainings that the daemon has not ended; none if there is no daemon, or none that answers. */
export async function trainingsOfDaemon(context: CommandContext): Promise<readonly JobRecord[]> {
  const client = await connectIfRunning(context, DAEMON_TIMEOUT_MS).catch(() => undefined);
  const jobs = await client?.request('listJobs', {}).catch(() => undefined);
  client?.close();
  return (jobs ?? []).filter(({ kind, state }) => isTrainingKind(kind) && (state === 'queued' || state === 'running'));
}

interface WaitingRunsParams {
  /** From `trainingsOfDaemon`, asked before the folder was read, so that a run which begins meanwhile is in one of both. */
  readonly jobs: readonly JobRecord[];
  /** Only runs at or below it. */
  readonly folder: string;
  /** The folders of runs that exist. */
  readonly known: readonly string[];
  /** Whether the folders are on this machine, and may be links. */
  readonly isHere: boolean;
}

/** Those without a folder, as they stand in a list of runs. A sweep stands for its runs until one of them has begun. */
export async function waitingRuns({ jobs, folder, known, isHere }: WaitingRunsParams): Promise<readonly RunInfo[]> {
  const real = async (place: string): Promise<string> => (isHere ? await realPath(place) : place);
  const [outer, ...begun] = await Promise.all([folder, ...known].map(real));
  const waiting: RunInfo[] = [];
  for (const { state, runDir, createdAt } of jobs) {
    if (runDir === undefined) continue;
    const place = await real(runDir);
    if (!isWithin(place, outer ?? folder) || begun.some(other => isWithin(other, place))) continue;
    const ageSeconds = Math.max(0, (Date.now() - Date.parse(createdAt)) / 1000);
    const none = { step: 0, totalSteps: 0, resumable: false, ageSeconds, startedAt: createdAt, updatedAt: createdAt };
    waiting.push({ runDir, name: folderName(runDir), state: state === 'queued' ? 'queued' : 'preparing', ...none });
  }
  return waiting;
}
