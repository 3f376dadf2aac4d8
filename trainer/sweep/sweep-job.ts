/**
 * The job 'sweep': trains the runs of a plan, several at a time, each in a worker process of its own, and stops losers
 * early. All that decides is in the folders of the runs, so a sweep that was killed continues where it was.
 */

import { existsSync } from 'node:fs';
import { appendFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { writeJson, writeTextFile } from '../files/durable-file.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import { lockHolder } from '../machine/process-lock.ts';
import { elementAt } from '../narrow.ts';
import { compact } from '../protocol/format.ts';
import type { JobRequest } from '../protocol/job-messages.ts';
import { RUN_FILES } from '../protocol/run-files.ts';
import { describeSettings, metricKey, SWEEP_FILES, type SweepStatus, sweepCsv } from '../protocol/sweep.ts';
import { LOCK_FILE } from '../run/run-lock.ts';
import { readRunState } from '../run/run-state.ts';
import { RunError } from '../run-error.ts';
import { explainDeath, startWorkerProcess, type WorkerProcess } from '../worker/worker-process.ts';
import { type DecisionLog, openDecisions } from './decisions.ts';
import { openSweep } from './open-sweep.ts';
import { readSegmentResult } from './segment-result.ts';
import { type PlannedRun, runFolder, runRecipe, type SweepPlan, scheduleOf } from './sweep-plan.ts';
import { type RunSteps, SweepProgress } from './sweep-progress.ts';
import { compareValues, type Segment, type SegmentResult, SweepSchedule } from './sweep-schedule.ts';
import { readFailures, readSweep } from './sweep-status.ts';

type SweepRequest = Extract<JobRequest, { kind: 'sweep' }>;

export interface SweepResult extends SweepStatus {
  readonly state: 'stopped' | 'finished';
}

/** The fault of the values of one run; any other failure ends the sweep, which can be continued when it is fixed. */
const OWN_FAILURES = ['loss-diverged', 'out-of-memory'];
/** The processes of a sweep that was killed save and end by themselves. */
const PREDECESSOR_MS = 600_000;
const POLL_MS = 200;

/** @throws RunError 'bad-sweep', 'output-not-empty', 'run-busy', or the reason why a run failed that is not its own fault */
export async function sweepJob(request: SweepRequest, { job, context }: JobScope): Promise<SweepResult> {
  const { sweepDir } = request;
  const { plan, release } = await openSweep({ ...request, context, job });
  try {
    await rm(path.join(sweepDir, SWEEP_FILES.result), { force: true });
    const isDone = await new SweepRunner(request, plan, job).run();
    return await conclude(sweepDir, isDone ? 'finished' : 'stopped');
  } finally {
    release();
  }
}

async function conclude(sweepDir: string, state: SweepResult['state']): Promise<SweepResult> {
  const status = await readSweep(sweepDir);
  if (status === undefined) throw new RunError('bad-sweep', `the plan of the sweep in ${sweepDir} is gone`);
  const result = { ...status, state };
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
  private progress: SweepProgress | undefined;
  private decisions: DecisionLog | undefined;
  /** A run of this process has begun to train: scores, downloads and compiled programs that others share are in their caches. */
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

  /** @returns whether nothing is left to do; false if it was stopped */
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

  /** Something has changed that may let another run start. */
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
    const steps = await Promise.all(
      plan.runs.map(async (run): Promise<readonly (readonly [string, RunSteps])[]> => {
        const state = await readRunState(runFolder(request.sweepDir, run));
        return state && state.totalSteps > 0 ? [[run.id, { done: state.step, total: state.totalSteps }]] : [];
      }),
    );
    this.progress = new SweepProgress(plan, runRecipe(plan, elementAt(plan.runs, 0)), job, new Map(steps.flat()));
  }

  /** Starts what can start now. @returns whether nothing is left to do */
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

  /** @returns undefined if the sweep was stopped meanwhile */
  private async train(run: PlannedRun, segment: Segment, onWorker: (worker: WorkerProcess) => void): Promise<SegmentResult | undefined> {
    const { job, plan } = this;
    await this.waitForPredecessor(run);
    if (job.stop !== undefined) return undefined;
    const recipe = runRecipe(plan, run);
    const runDir = this.folderOf(run);
    const pauseAfter = segment.until === 'end' ? undefined : segment.until;
    // A folder without these two is that of a run that was killed before it began.
    const isBegun = existsSync(path.join(runDir, RUN_FILES.recipe)) && (await readRunState(runDir)) !== undefined;
    const context = { ...this.request.context, baseDir: plan.source.baseDir };
    const worker = startWorkerProcess({
      request: isBegun
        ? { kind: 'resume', context, runDir, overrides: [], pauseAfter }
        : { kind: 'train', context, recipe, runDir, pauseAfter },
      threads: recipe.threads,
      onEvent: event => {
        if (event.type === 'log' && (event.level === 'warning' || event.level === 'error'))
          job.log(event.level, `run ${run.id}: ${event.message}`);
        else if (event.type === 'progress' && event.phase === 'train') this.onTraining(run, event);
        else if (event.type === 'phase') job.note('info', `run ${run.id}: ${event.message}`);
      },
      onLine: line => job.note('debug', `run ${run.id}: ${line}`),
    });
    onWorker(worker);
    if (job.stop !== undefined) this.stopAll();
    const outcome = await worker.ended;
    this.onWarm();
    const result = await this.recorded(run, segment);
    if (result !== undefined) return this.report(run, segment, result);
    if (job.stop !== undefined || this.failure !== undefined) return undefined;
    const { last } = outcome;
    const why = last?.type === 'failed' ? last : last === undefined ? explainDeath(outcome) : undefined;
    if (why !== undefined && OWN_FAILURES.includes(why.code)) return this.reportFailure(run, why.message);
    throw new RunError(
      'sweep-failed',
      `run ${run.id} (${describeSettings(run.settings)}) failed: ${why?.message ?? 'it ended without a result'}`,
      `${why?.hint === undefined ? '' : `${why.hint.replace(/\.?$/, '.')} `}Then continue with: rowtune sweep ${this.request.sweepDir}`,
    );
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

  /** The process of a killed sweep may still be saving this run. */
  private async waitForPredecessor(run: PlannedRun): Promise<void> {
    const lock = path.join(this.folderOf(run), LOCK_FILE);
    const deadline = performance.now() + PREDECESSOR_MS;
    let isSaid = false;
    for (let holder = lockHolder(lock); holder !== undefined && this.job.stop === undefined; holder = lockHolder(lock)) {
      if (performance.now() > deadline)
        throw new RunError(
          'run-busy',
          `process ${holder.pid} is using ${this.folderOf(run)}`,
          'Wait for it or stop it, then continue the sweep',
        );
      if (!isSaid) this.job.log('info', `run ${run.id}: waiting for process ${holder.pid} of the earlier sweep to save`);
      isSaid = true;
      await delay(POLL_MS);
    }
  }

  private stopAll(): void {
    const saves = this.job.stop?.save !== false;
    for (const { worker } of this.working.values())
      if (saves) worker?.stop();
      else worker?.abort();
    this.wake();
  }
}
