/**
 * One of several workers of a sweep, on any machine that shares its folder: takes the next decision of the journal, trains that part,
 * reports the result, and repeats until nothing is left. Workers know each other only through the folder.
 */
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Job } from '../job/job.ts';
import { elementAt } from '../narrow.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { JobContext } from '../protocol/messages/job-messages.ts';
import { describeSettings, metricKey } from '../protocol/run/sweep.ts';
import { compact } from '../protocol/text/format.ts';
import { readRunState } from '../run/run-state.ts';
import { RunError } from '../run-error.ts';
import type { WorkerOutcome, WorkerProcess } from '../worker/worker-process.ts';
import { JournalFolder } from './journal-folder.ts';
import { readEvaluations, readSegmentResult } from './segment-result.ts';
import type { JournalEntry, ResultEntry, StartEntry, SweepJournal } from './sweep-journal.ts';
import { type PlannedRun, runFolder, type SweepPlan } from './sweep-plan.ts';
import type { SegmentResult } from './sweep-schedule.ts';
import { failureOf, sweepFailed, trainSegment } from './train-segment.ts';
import { readSign, SignWatch, writeSign } from './worker-signs.ts';

export interface SweepWorkerParams {
  readonly sweepDir: string;
  readonly plan: SweepPlan;
  readonly context: JobContext;
  readonly job: Job;
  /** Name given from outside, such as the id of its job; it need not be unique. */
  readonly label?: string;
  /** Path of its own log, for the table of the sweep. */
  readonly log?: string;
}

export interface SweepWorkerEnd {
  /** `left` if other workers are training everything that is left. */
  readonly state: 'finished' | 'stopped' | 'left';
  /** False if it has trained, but no update of that was saved. */
  readonly progressed: boolean;
  readonly journal: SweepJournal;
}

/** Number of signs of life within the time after which a worker counts as lost; a few may be late. */
const BEATS = 6;
/** Share of that time after which a worker that could not write a sign ends its own run, before others take it. */
const OWN_SHARE = 0.5;
/** Interval at which idle workers read the journal: a shared disk serves a whole cluster. */
const POLL_MS = 2000;
/**
 * Multiple of the time until a worker counts as lost after which an idle worker ends: by then, it would have taken over a lost worker's
 * run.
 */
const IDLE_TIMES = 2;

/** Works on a sweep. @throws RunError 'sweep-failed' if a run or a machine does not work; 'bad-sweep' for a damaged journal */
export async function workOnSweep(params: SweepWorkerParams): Promise<SweepWorkerEnd> {
  const folder = await JournalFolder.open(params.sweepDir, params.plan);
  const worker = new SweepWorker(params, folder);
  const state = await worker.work();
  return { state, progressed: worker.progressed, journal: folder.journal };
}

class SweepWorker {
  private readonly params: SweepWorkerParams;
  private readonly folder: JournalFolder;
  private readonly name: string;
  private readonly watch: SignWatch;
  private readonly lostAfterMs: number;
  private process: WorkerProcess | undefined;
  private beat = 0;
  /** Time of its last sign of life. */
  private signMs = performance.now();
  private isSigning = false;
  private isCutOff = false;
  private hasTrained = false;
  private hasSaved = false;

  constructor(params: SweepWorkerParams, folder: JournalFolder) {
    this.params = params;
    this.folder = folder;
    // Unique: a worker that is started again is a new one.
    this.name = `${params.label ?? os.hostname()}-${randomBytes(4).toString('hex')}`;
    this.lostAfterMs = 1000 * (params.plan.workers?.lostAfterSeconds ?? 0);
    this.watch = new SignWatch(this.lostAfterMs);
  }

  /** Returns true if some of the training was saved, or nothing was trained. */
  get progressed(): boolean {
    return this.hasSaved || !this.hasTrained;
  }

  async work(): Promise<SweepWorkerEnd['state']> {
    const { job } = this.params;
    job.log('info', `worker ${this.name} of the sweep in ${this.params.sweepDir}`);
    await this.sign(false);
    const signs = setInterval(() => void this.keepSign(), this.lostAfterMs / BEATS);
    const onStop = (): void => this.stopProcess();
    job.signal.addEventListener('abort', onStop);
    try {
      return await this.takeParts();
    } finally {
      job.signal.removeEventListener('abort', onStop);
      clearInterval(signs);
      await this.sign(true).catch(() => undefined);
    }
  }

  private async takeParts(): Promise<SweepWorkerEnd['state']> {
    const { job, plan, sweepDir } = this.params;
    let idleSinceMs = performance.now();
    while (job.stop === undefined) {
      await this.folder.read();
      await this.returnLostParts();
      const proposal = this.folder.journal.propose(this.name);
      if (proposal.kind === 'done') return 'finished';
      if (proposal.kind === 'failed')
        throw sweepFailed({ run: elementAt(plan.runs, proposal.run), why: { message: proposal.problem }, sweepDir });
      if (proposal.kind === 'wait') {
        if (performance.now() - idleSinceMs > IDLE_TIMES * this.lostAfterMs) return 'left';
        await delay(Math.min(POLL_MS, this.lostAfterMs / BEATS), undefined, { signal: job.signal }).catch(() => undefined);
        continue;
      }
      if (await this.folder.add(proposal.entry)) await this.train(proposal.entry);
      idleSinceMs = performance.now();
    }
    return 'stopped';
  }

  /** Returns the parts of lost workers to the journal. */
  private async returnLostParts(): Promise<void> {
    for (const { index, worker } of this.folder.journal.held) {
      const sign = await readSign(this.params.sweepDir, worker);
      if (!this.watch.isLost(worker, sign, performance.now())) continue;
      const problem = `its worker ${worker} on ${sign?.node ?? 'an unknown machine'} was lost`;
      if (!(await this.folder.add({ kind: 'free', worker, index, problem }))) return;
      this.params.job.log('warning', `${problem}; another continues its run`);
    }
  }

  private async train(entry: StartEntry): Promise<void> {
    const { plan, job, sweepDir, context } = this.params;
    const run = elementAt(plan.runs, entry.run);
    const { until } = entry;
    job.log('info', `run ${run.id} (${describeSettings(run.settings)}) until ${until === 'end' ? 'its end' : `evaluation ${until}`}`);
    const before = await this.savedSteps(run);
    this.hasTrained = true;
    try {
      const outcome = await trainSegment({
        plan,
        run,
        segment: entry,
        sweepDir,
        context,
        job,
        onWorker: process => {
          this.process = process;
          if (job.stop !== undefined) this.stopProcess();
        },
        onTraining: ({ done, total }) =>
          job.emit({ type: 'progress', phase: 'train', done, total, unit: 'steps', message: `run ${run.id}` }),
      });
      this.hasSaved ||= (await this.savedSteps(run)) > before;
      await this.conclude(entry, run, outcome);
    } finally {
      this.process = undefined;
    }
  }

  private async savedSteps(run: PlannedRun): Promise<number> {
    return (await readRunState(runFolder(this.params.sweepDir, run)))?.step ?? 0;
  }

  private async conclude(entry: StartEntry, run: PlannedRun, outcome: WorkerOutcome | undefined): Promise<void> {
    const { plan, job, sweepDir } = this.params;
    const { index } = entry;
    if (this.isCutOff)
      throw new RunError(
        'sweep-failed',
        `worker ${this.name} could not write to ${sweepDir} for ${Math.round((OWN_SHARE * this.lostAfterMs) / 1000)} s`,
        'Check the shared disk; other workers continue its run',
      );
    const result = await readSegmentResult(runFolder(sweepDir, run), entry, metricKey(plan.metric));
    if (result !== undefined) return this.report(entry, run, result);
    if (outcome === undefined || job.stop !== undefined) {
      await this.addOwn({ kind: 'free', worker: this.name, index });
      return;
    }
    const why = failureOf(outcome);
    if (why.isOwn) return this.report(entry, run, { ended: true }, why.message);
    await this.addOwn({ kind: 'free', worker: this.name, index, problem: why.message });
    throw sweepFailed({ run, why, sweepDir });
  }

  private async report(entry: StartEntry, run: PlannedRun, { value, ended }: SegmentResult, failure?: string): Promise<void> {
    const { plan, job, sweepDir } = this.params;
    const runDir = runFolder(sweepDir, run);
    const key = metricKey(plan.metric);
    const state = await readRunState(runDir);
    const evaluations = (await readEvaluations(runDir, key)).length;
    const { step = 0, totalSteps = 0, loss } = state ?? {};
    const { index } = entry;
    const worker = this.name;
    const reported: ResultEntry = {
      kind: 'result',
      worker,
      index,
      value: finite(value),
      ended,
      failure,
      evaluations,
      step,
      totalSteps,
      loss: finite(loss),
    };
    if (!(await this.addOwn(reported))) {
      job.log('warning', `run ${run.id}: another worker has taken it over, because this one gave no sign of life`);
      return;
    }
    job.log(
      'info',
      `run ${run.id}: ${value === undefined ? (failure ?? 'no result') : `${key} ${compact(value)}`}${ended ? ', ended' : ''}`,
    );
    if (value !== undefined) job.emit({ type: 'metrics', step: this.folder.journal.length, values: { [key]: value } });
  }

  /** Adds an entry about a part of this worker. @returns false if it has lost the part */
  private async addOwn(entry: Exclude<JournalEntry, { kind: 'restart' }>): Promise<boolean> {
    for (;;) {
      if (this.folder.journal.parts[entry.index]?.holder !== this.name) return false;
      if (await this.folder.add(entry)) return true;
      await this.folder.read();
    }
  }

  private async sign(ended: boolean): Promise<void> {
    const { sweepDir, log } = this.params;
    this.beat++;
    await writeSign(sweepDir, this.name, { beat: this.beat, node: os.hostname(), log, ended });
    this.signMs = performance.now();
  }

  /** Writes a sign of life. A worker that can't write one ends its run before others take it over. */
  private async keepSign(): Promise<void> {
    const silentMs = performance.now() - this.signMs;
    if (silentMs > OWN_SHARE * this.lostAfterMs && !this.isCutOff) {
      this.isCutOff = true;
      this.process?.kill();
    }
    // Does not write while an earlier write hangs.
    if (this.isSigning) return;
    this.isSigning = true;
    await this.sign(false).catch((error: unknown) => this.params.job.note('warning', `no sign of life: ${messageOf(error)}`));
    this.isSigning = false;
  }

  private stopProcess(): void {
    if (this.params.job.stop?.save === false) this.process?.abort();
    else this.process?.stop();
  }
}

/** Returns undefined for a number that JSON can't represent. */
const finite = (value: number | undefined): number | undefined => (Number.isFinite(value) ? value : undefined);
