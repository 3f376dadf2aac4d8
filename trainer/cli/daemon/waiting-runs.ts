/** Runs that a daemon has accepted but that have no folder yet: they wait for other jobs, or their process has just started. */
import { isWithin, realPath } from '../../files/real-path.ts';
import { isTrainingKind } from '../../protocol/messages/job-messages.ts';
import type { JobRecord, RunInfo } from '../../protocol/messages/rpc-messages.ts';
import { folderName } from '../../protocol/run/run-names.ts';
import type { CommandContext } from '../command.ts';
import { connectIfRunning } from './daemon-client.ts';

/** The timeout for the daemon: a list of runs is useful without its answer. */
const DAEMON_TIMEOUT_MS = 2000;

/** Returns the queued and running training jobs of the daemon; an empty list if no daemon answers. */
export async function trainingsOfDaemon(context: CommandContext): Promise<readonly JobRecord[]> {
  const client = await connectIfRunning(context, DAEMON_TIMEOUT_MS).catch(() => undefined);
  const jobs = await client?.request('listJobs', {}).catch(() => undefined);
  client?.close();
  return (jobs ?? []).filter(({ kind, state }) => isTrainingKind(kind) && (state === 'queued' || state === 'running'));
}

interface WaitingRunsParams {
  /** The result of `trainingsOfDaemon`, requested before the folder is read, so that no run that starts in between is missed. */
  readonly jobs: readonly JobRecord[];
  /** The folder whose runs are listed, at any depth. */
  readonly folder: string;
  /** The folders of runs that exist. */
  readonly known: readonly string[];
  /** True if the folders are on this machine, where they may be links. */
  readonly isHere: boolean;
}

/** Returns the jobs whose run has no folder yet, as entries of a list of runs. A sweep is one entry until one of its runs has begun. */
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
