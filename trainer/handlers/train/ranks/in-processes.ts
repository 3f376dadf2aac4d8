/** Runs of several processes: the parent that starts them, and the folders to which they write. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { JobScope } from '../../../job/job-scope.ts';
import type { Ranks } from '../../../job/ranks.ts';
import type { JobContext, JobRequest } from '../../../protocol/messages/job-messages.ts';
import type { Recipe } from '../../../protocol/recipe/recipe-schema.ts';
import { RUN_FILES } from '../../../protocol/run/run-files.ts';
import { superviseRanks } from '../../../ranks/supervise.ts';
import { offerContinuation } from '../../../run/offer-continuation.ts';
import { settleFailedRun } from '../../../run/settle-run.ts';
import { requireTypedCommand } from '../../../run/typed-command.ts';
import { RankFailure, RunError } from '../../../run-error.ts';
import { isResultOf } from '../../job-results.ts';
import type { TrainResult } from '../train-result.ts';

/** Seconds without a sign of life after which a rank counts as lost. */
const SILENT_SECONDS = 30;

/** Starts the processes of a run on this machine and returns the result of the first. @throws RunError of the rank that failed first */
export async function trainInProcesses(
  request: Extract<JobRequest, { kind: 'train' | 'resume' }>,
  { processes, threads, process_transport: transport }: Recipe,
  runDir: string,
  { job }: JobScope,
): Promise<TrainResult> {
  requireTypedCommand(transport, request.context);
  try {
    const result = await superviseRanks({ request, job, processes, threads, transport, environment: process.env });
    if (!isResultOf('train', result)) throw new TypeError('rank 0 ended without the result of a training');
    return result;
  } catch (error) {
    const isOfRun = error instanceof RankFailure || (error instanceof RunError && error.code !== 'stopped');
    // The first rank may have been ended before it could record the reason. A failure to write it now matters less than the original error.
    if (isOfRun) await settleFailedRun(runDir, error.message).catch(() => undefined);
    throw offerContinuation(error, runDir);
  }
}

/**
 * Waits for the first rank to prepare the run's folder, and starts showing signs of life there.
 * @returns the folder to which this rank writes
 */
export async function joinRun(runDir: string, ranks: Ranks, { silentSeconds = SILENT_SECONDS }: JobContext): Promise<string> {
  const all = path.join(runDir, RUN_FILES.ranks);
  if (ranks.isFirst) {
    await rm(all, { recursive: true, force: true });
    await mkdir(all);
  }
  ranks.first(true);
  ranks.watch(all, silentSeconds);
  const own = path.join(all, `rank-${ranks.rank}`);
  if (!ranks.isFirst) await mkdir(own);
  return ranks.isFirst ? runDir : own;
}
