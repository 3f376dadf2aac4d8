/**
 * The job 'sweep': trains the runs of a plan, several at a time, each in its own worker process, and stops losers early. All decisions are
 * based on the runs' folders, so a killed sweep continues where it stopped.
 */

import { appendFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeJson, writeTextFile } from '../files/durable-file.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import { mapAtOnce } from '../machine/map-at-once.ts';
import { elementAt } from '../narrow.ts';
import type { JobRequest } from '../protocol/messages/job-messages.ts';
import { describeSettings, metricKey, SWEEP_FILES, type SweepStatus, sweepCsv } from '../protocol/run/sweep.ts';
import { compact } from '../protocol/text/format.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { readRunState } from '../run/run-state.ts';
import { RunError } from '../run-error.ts';
import type { WorkerProcess } from '../worker/worker-process.ts';
import { type DecisionLog, openDecisions } from './decisions.ts';
import { GpuShares, sweepGpus } from './gpu-shares.ts';
import { openSweep } from './open-sweep.ts';
import { readSegmentResult } from './segment-result.ts';
import { sharedStatus } from './shared-status.ts';
import { noSweep, type PlannedRun, RUNS_AT_ONCE, readPlan, runFolder, runRecipe, type SweepPlan, scheduleOf } from './sweep-plan.ts';
import { type RunSteps, SweepProgress } from './sweep-progress.ts';
import { compareValues, type Segment, type SegmentResult, SweepSchedule } from './sweep-schedule.ts';
import { readFailures, readSweep } from './sweep-status.ts';
import { type SweepWorkerEnd, workOnSweep } from './sweep-worker.ts';
import { failureOf, sweepFailed, trainSegment } from './train-segment.ts';

type SweepRequest = Extract<JobRequest, { kind: 'sweep' }>;

export interface SweepResult extends SweepStatus {
  /** How one of several workers ended; present in a worker's result. */
  readonly worker?: Pick<SweepWorkerEnd, 'state' | 'progressed'>;
}

/**
 * Runs a sweep.
 * @throws RunError 'bad-sweep', 'output-not-empty', 'run-busy', or the reason of a failed run that its own values did not cause
 */
export async function sweepJob(request: SweepRequest, { job, context }: JobScope): Promise<SweepResult> {
  const { sweepDir, worker } = request;
  if (worker !== undefined) return workerJob(request, { job, context });
  const { plan, release } = await openSweep({ ...request, context, job });
  try {
    if (plan.workers !== undefined) throw needsWorkers(sweepDir);
    await rm(path.join(sweepDir, SWEEP_FILES.result), { force: true });
    const isDone = await new SweepRunner(request, plan, job).run();
    return await conclude(sweepDir, isDone ? 'finished' : 'stopped');
  } finally {
    release();
  }
}

async function workerJob({ sweepDir, worker }: SweepRequest, { job, context }: JobScope): Promise<SweepResult> {
  const plan = await readPlan(sweepDir);
  if (plan === undefined) throw noSweep(sweepDir);
  if (plan.workers === undefined)
    throw new RunError('bad-sweep', `one process trains the runs of ${sweepDir}`, `Continue it with: rowtune sweep ${shellWord(sweepDir)}`);
  const { state, progressed, journal } = await workOnSweep({ sweepDir, plan, context, job, ...worker });
  const status = await sharedStatus(sweepDir, plan, journal);
  const result = { ...status, worker: { state, progressed } };
  return state === 'finished' ? writeResult({ ...result, state }) : result;
}

const needsWorkers = (sweepDir: string): RunError =>
  new RunError(
    'bad-sweep',
    `the runs of ${sweepDir} are trained by workers that share the folder`,
    `Continue it with: rowtune sweep ${shellWord(sweepDir)} --on slurm; or start a worker here: rowtune sweep ${shellWord(sweepDir)} --worker`,
  );

async function conclude(sweepDir: string, state: SweepStatus['state']): Promise<SweepResult> {
  const status = await readSweep(sweepDir);
  if (status === undefined) throw new RunError('bad-sweep', `the plan of the sweep in ${sweepDir} is gone`);
  return writeResult({ ...status, state });
}

async function writeResult(result: SweepResult): Promise<SweepResult> {
  const { sweepDir, state } = result;
  await writeTextFile(path.join(sweepDir, SWEEP_FILES.table), sweepCsv(result));
  if (state === 'finished') await writeJson(path.join(sweepDir, SWEEP_FILES.result), result);
  return result;
}

class SweepRunner {
  private readonly request: SweepRequest;
  private readonly plan: SweepPlan;
  private readonly job: Job;
  private readonly key: string;
  private readonly schedule: SweepSchedule;
  private readonly results = new Map<number, SegmentResult>();
  private readonly working = new Map<number, { readonly ended: Promise<void>; worker?: WorkerProcess }>();
  private readonly gpus = new GpuShares(sweepGpus());
  private progress: SweepProgress | undefined;
  private decisions: DecisionLog | undefined;
  /** True once a run of this process has started training: shared scores, downloads and compiled programs are then cached. */
  private isWarm = false;
  private failure: unknown;
  private isWoken = false;
  private resume: () => void = () => undefined;

  constructor(request: SweepRequest, plan: SweepPlan, job: Job) {
    this.request = request;
    this.plan = plan;
    this.job = job;
    this.key = metricKey(plan.metric);
    this.schedule = new SweepSchedule(scheduleOf(plan));
  }

  /** Trains the runs. @returns true if nothing is left to do; false if it was stopped */
  async run(): Promise<boolean> {
    const { job } = this;
    await this.begin();
    const onStop = (): void => this.stopAll();
    job.signal.addEventListener('abort', onStop);
    try {
      for (;;) {
        const isDone = await this.startNext();
        if (this.working.size === 0) {
          if (this.failure !== undefined) throw this.failure;
          if (isDone || job.stop !== undefined) return isDone;
          continue;
        }
        await this.untilWoken();
      }
    } finally {
      job.signal.removeEventListener('abort', onStop);
    }
  }

  /** Wakes the main loop after a change that may allow another run to start. */
  private wake(): void {
    this.isWoken = true;
    this.resume();
  }

  private async untilWoken(): Promise<void> {
    if (!this.isWoken)
      await new Promise<void>(resolve => {
        this.resume = resolve;
      });
    this.isWoken = false;
  }

  private async begin(): Promise<void> {
    const { plan, job, request } = this;
    this.decisions = await openDecisions(request.sweepDir);
    job.phase('sweep', `sweeping: ${plan.runs.length} runs, ${plan.parallel} at a time`);
    const steps = await mapAtOnce(plan.runs, RUNS_AT_ONCE, async (run): Promise<readonly (readonly [string, RunSteps])[]> => {
      const state = await readRunState(runFolder(request.sweepDir, run));
      return state && state.totalSteps > 0 ? [[run.id, { done: state.step, total: state.totalSteps }]] : [];
    });
    this.progress = new SweepProgress(plan, runRecipe(plan, elementAt(plan.runs, 0)), job, new Map(steps.flat()));
  }

  /** Starts everything that can start now. @returns true if nothing is left to do */
  private async startNext(): Promise<boolean> {
    for (;;) {
      if (this.job.stop !== undefined || this.failure !== undefined) return false;
      if (this.working.size >= (this.isWarm ? this.plan.parallel : 1)) return false;
      const decision = this.schedule.next(index => this.results.get(index));
      if (decision.kind !== 'start') return decision.kind === 'done';
      const { segment, by } = decision;
      const index = this.schedule.issued.length - 1;
      const run = elementAt(this.plan.runs, segment.run);
      await this.decisions?.record({ index, run: run.id, until: segment.until, by });
      const result = await this.recorded(run, segment);
      if (result !== undefined) this.results.set(index, result);
      else this.start(index, run, segment);
    }
  }

  private async recorded(run: PlannedRun, segment: Segment): Promise<SegmentResult | undefined> {
    const result = await readSegmentResult(this.folderOf(run), segment, this.key);
    if (result !== undefined) return result;
    return (await readFailures(this.request.sweepDir)).has(run.id) ? { ended: true } : undefined;
  }

  private folderOf(run: PlannedRun): string {
    return runFolder(this.request.sweepDir, run);
  }

  private start(index: number, run: PlannedRun, segment: Segment): void {
    const work: { ended: Promise<void>; worker?: WorkerProcess } = { ended: Promise.resolve() };
    work.ended = this.train(run, segment, worker => {
      work.worker = worker;
    })
      .then(result => {
        if (result !== undefined) this.results.set(index, result);
      })
      .catch(error => {
        this.failure ??= error;
        this.stopAll();
      })
      .finally(() => {
        this.working.delete(index);
        this.wake();
      });
    this.working.set(index, work);
  }

  /** Trains a part of a run. @returns undefined if the sweep was stopped meanwhile */
  private async train(run: PlannedRun, segment: Segment, onWorker: (worker: WorkerProcess) => void): Promise<SegmentResult | undefined> {
    const { job, plan, request } = this;
    const { sweepDir, context } = request;
    const outcome = await trainSegment({
      plan,
      run,
      segment,
      sweepDir,
      context,
      job,
      gpus: this.gpus,
      onWorker: worker => {
        onWorker(worker);
        if (job.stop !== undefined) this.stopAll();
      },
      onTraining: steps => this.onTraining(run, steps),
    });
    this.onWarm();
    const result = await this.recorded(run, segment);
    if (result !== undefined) return this.report(run, segment, result);
    if (outcome === undefined || job.stop !== undefined || this.failure !== undefined) return undefined;
    const why = failureOf(outcome);
    if (why.isOwn) return this.reportFailure(run, why.message);
    throw sweepFailed({ run, why, sweepDir });
  }

  private onTraining(run: PlannedRun, { done, total }: RunSteps): void {
    if (done > 0) this.onWarm();
    const best = this.bestValue();
    const message = best === undefined ? `run ${run.id}` : `run ${run.id}, best ${this.key} so far ${compact(best)}`;
    this.progress?.update(run.id, { done, total }, message);
  }

  private onWarm(): void {
    if (this.isWarm) return;
    this.isWarm = true;
    this.wake();
  }

  private bestValue(): number | undefined {
    const values = [...this.results.values()].map(({ value }) => value).sort((a, b) => compareValues(this.plan, a, b));
    return values[0];
  }

  private report(run: PlannedRun, { until }: Segment, result: SegmentResult): SegmentResult {
    const best = this.bestValue();
    const { value, ended } = result;
    const isBest = value !== undefined && (best === undefined || compareValues(this.plan, value, best) < 0);
    const when = ended ? 'finished' : `after ${until} evaluation${until === 1 ? '' : 's'}`;
    const shown = value === undefined ? 'without a result' : `${this.key} ${compact(value)}${isBest ? ', the best so far' : ''}`;
    this.job.log('info', `run ${run.id} (${describeSettings(run.settings)}) ${when}: ${shown}`);
    if (value !== undefined) this.job.emit({ type: 'metrics', step: this.results.size, values: { [this.key]: value } });
    return result;
  }

  private async reportFailure(run: PlannedRun, message: string): Promise<SegmentResult> {
    await appendFile(path.join(this.request.sweepDir, SWEEP_FILES.failures), `\n${JSON.stringify({ run: run.id, message })}\n`, {
      flush: true,
    });
    this.job.log('warning', `run ${run.id} (${describeSettings(run.settings)}) failed: ${message}`);
    return { ended: true };
  }

  private stopAll(): void {
    const saves = this.job.stop?.save !== false;
    for (const { worker } of this.working.values())
      if (saves) worker?.stop();
      else worker?.abort();
    this.wake();
  }
}
