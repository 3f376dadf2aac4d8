/** Trains a part of a run of a sweep in a worker process: starts the run, or continues it from its checkpoint. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Job } from '../job/job.ts';
import { lockHolder } from '../machine/process-lock.ts';
import type { JobContext } from '../protocol/messages/job-messages.ts';
import { partsOfBatch } from '../protocol/recipe/global-batch.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import { describeSettings } from '../protocol/run/sweep.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { LOCK_FILE } from '../run/run-lock.ts';
import { readRunState } from '../run/run-state.ts';
import { RunError } from '../run-error.ts';
import { explainDeath, startWorkerProcess, type WorkerOutcome, type WorkerProcess } from '../worker/worker-process.ts';
import type { GpuShares } from './gpu-shares.ts';
import { type PlannedRun, runFolder, runRecipe, type SweepPlan } from './sweep-plan.ts';
import type { RunSteps } from './sweep-progress.ts';
import type { Segment } from './sweep-schedule.ts';

export interface TrainSegmentParams {
  readonly plan: SweepPlan;
  readonly run: PlannedRun;
  readonly segment: Segment;
  readonly sweepDir: string;
  readonly context: JobContext;
  readonly job: Job;
  /** GPUs, shared with the runs that train at the same time. */
  readonly gpus?: GpuShares;
  /** Receives the process once it has started, so that it can be stopped. */
  onWorker(worker: WorkerProcess): void;
  onTraining(steps: RunSteps): void;
}

/** Time limit for the processes of a killed sweep, which save and end by themselves. */
const PREDECESSOR_MS = 600_000;
const POLL_MS = 200;

/**
 * Returns how the process ended; undefined if the sweep was stopped before it started.
 * @throws RunError 'run-busy' if another process on this machine keeps the run
 */
export async function trainSegment(params: TrainSegmentParams): Promise<WorkerOutcome | undefined> {
  const { plan, run, segment, sweepDir, context: given, job, gpus, onWorker, onTraining } = params;
  const runDir = runFolder(sweepDir, run);
  await waitForPredecessor(runDir, run, job);
  if (job.stop !== undefined) return undefined;
  const recipe = runRecipe(plan, run);
  const pauseAfter = segment.until === 'end' ? undefined : segment.until;
  // A folder without both of these belongs to a run that was killed before it started.
  const isBegun = existsSync(path.join(runDir, RUN_FILES.recipe)) && (await readRunState(runDir)) !== undefined;
  const context = { ...given, baseDir: plan.source.baseDir };
  const own = gpus?.take(partsOfBatch(recipe));
  const worker = startWorkerProcess({
    request: isBegun
      ? { kind: 'resume', context, runDir, overrides: [], pauseAfter }
      : { kind: 'train', context, recipe, runDir, pauseAfter },
    threads: recipe.threads,
    gpus: own,
    onEvent: event => {
      if (event.type === 'log' && (event.level === 'warning' || event.level === 'error'))
        job.log(event.level, `run ${run.id}: ${event.message}`);
      else if (event.type === 'progress' && event.phase === 'train') onTraining(event);
      else if (event.type === 'phase') job.note('info', `run ${run.id}: ${event.message}`);
    },
    onLine: line => job.note('debug', `run ${run.id}: ${line}`),
  });
  // Its ranks have their own process groups, so the worker has to end them itself.
  onWorker(recipe.processes > 1 ? { ...worker, kill: worker.abort } : worker);
  return worker.ended.finally(() => gpus?.giveBack(own));
}

/** Waits for the process of a killed sweep, which may still be saving this run. */
async function waitForPredecessor(runDir: string, { id }: PlannedRun, job: Job): Promise<void> {
  const lock = path.join(runDir, LOCK_FILE);
  const deadline = performance.now() + PREDECESSOR_MS;
  let isSaid = false;
  for (let holder = lockHolder(lock); holder !== undefined && job.stop === undefined; holder = lockHolder(lock)) {
    if (performance.now() > deadline)
      throw new RunError('run-busy', `process ${holder.pid} is using ${runDir}`, 'Wait for it or stop it, then continue the sweep');
    if (!isSaid) job.log('info', `run ${id}: waiting for process ${holder.pid} of the earlier sweep to save`);
    isSaid = true;
    await delay(POLL_MS);
  }
}

export interface SegmentFailure {
  /** True if the values of the run cause the failure; any other failure can be fixed, and the run then continues. */
  readonly isOwn: boolean;
  readonly message: string;
  readonly hint?: string;
}

/** Codes of the errors of values that do not fit the model, such as more rows than a layer has. */
export const UNFIT_VALUES: readonly string[] = ['selection', 'target-modules'];

const OWN_FAILURES = ['loss-diverged', 'out-of-memory', ...UNFIT_VALUES];

/** Returns why a process ended without a result. */
export function failureOf(outcome: WorkerOutcome): SegmentFailure {
  const { last } = outcome;
  if (last?.type === 'result') return { isOwn: false, message: 'it ended without a result' };
  const { code, message, hint } = last ?? explainDeath(outcome);
  return { isOwn: OWN_FAILURES.includes(code), message, hint };
}

/** Returns the error of a sweep that ends because of a run. */
export function sweepFailed({
  run,
  why,
  sweepDir,
}: {
  readonly run: PlannedRun;
  readonly why: Omit<SegmentFailure, 'isOwn'>;
  readonly sweepDir: string;
}): RunError {
  const fix = why.hint === undefined ? '' : `${why.hint.replace(/\.?$/, '.')} `;
  return new RunError(
    'sweep-failed',
    `run ${run.id} (${describeSettings(run.settings)}) failed: ${why.message}`,
    `${fix}Then continue with: rowtune sweep ${shellWord(sweepDir)}`,
  );
}
