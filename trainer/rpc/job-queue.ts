/** The jobs of the daemon: in order of priority, one at a time on the device, each in a worker process of its own. */

import type { JobKind, JobRequest } from '../protocol/job-messages.ts';
import type { JobEvent, JobRecord, JobState } from '../protocol/rpc-messages.ts';
import { hasCheckpoint } from '../run/has-checkpoint.ts';
import { settleStoppedRun } from '../run/settle-run.ts';
import type { StopTimes } from '../worker/stop-worker.ts';
import { explainDeath, startWorkerProcess, type WorkerOutcome, type WorkerProcess } from '../worker/worker-process.ts';
import { DaemonError } from './daemon-error.ts';

/** More than anyone queues by hand; a script that starts jobs in a loop is stopped here. */
const MAX_QUEUED = 1000;
/** Records of ended jobs that are kept; their results are in run folders anyway. */
const MAX_ENDED = 200;
/** Results that are kept for who asks late; they may be long. */
const MAX_RESULTS = 20;

export interface QueueParams {
  readonly workerFile?: string;
  readonly stopTimes?: StopTimes;
  /** Jobs of earlier starts of the daemon. */
  readonly known: readonly KnownJob[];
  /** Memory that is free on this machine now. */
  availableBytes(): number;
  /** Resolves when `kept()` is on the disk. */
  persist(): Promise<void>;
  onChange(record: JobRecord): void;
  onEvent(jobId: string, event: JobEvent['event']): void;
  onLine(jobId: string, line: string): void;
}

export interface NewJob {
  readonly id: string;
  readonly priority: number;
  readonly title: string;
  readonly request: JobRequest;
  /** Cores that one operation may use; 0 takes all. */
  readonly threads: number;
  readonly runDir?: string;
  /** Folders of runs and adapters that it will read: they are not deleted while it waits. */
  readonly reads?: readonly string[];
  /** What it takes, where it may run beside a training; without it, it waits for its turn. */
  readonly besideBytes?: number;
}

/** A job as it is kept over the end of a daemon: with its work while it waits. */
export interface KnownJob {
  readonly record: JobRecord;
  readonly work?: NewJob;
}

interface Job {
  record: JobRecord;
  readonly order: number;
  readonly work?: NewJob;
  worker?: WorkerProcess;
  lane?: string;
  wish?: 'stop' | 'abort';
  /** Not yet on the disk: nobody hears of it, and it does not start. */
  isNew?: boolean;
  readonly waiting: Set<(record: JobRecord) => void>;
}

/** A look at the machine waits for no training: doctor has a lane of its own. */
const laneOf = (kind: JobKind): string => (kind === 'doctor' ? 'look' : DEVICE);
const DEVICE = 'device';
/** What is short, and fits: a word with a model while another one trains. */
const BESIDE = 'beside';
/** Free memory, in parts of what a job takes beside a training: that one's evaluation or checkpoint may need more than its steps do. */
const BESIDE_ROOM = 2;
/** Somebody sits and waits for these; nobody does after the end of a daemon. */
const OF_THE_MOMENT: readonly JobKind[] = ['generate', 'doctor'];
const SAVING: readonly JobKind[] = ['train', 'resume'];
const ENDED: readonly JobState[] = ['succeeded', 'stopped', 'aborted', 'failed'];
export const hasEnded = ({ state }: JobRecord): boolean => ENDED.includes(state);

export class JobQueue {
  private readonly jobs = new Map<string, Job>();
  private readonly params: QueueParams;
  private order = 0;
  private isClosed = false;

  constructor(params: QueueParams) {
    this.params = params;
    for (const { record, work } of params.known)
      this.jobs.set(record.id, { record: work ? record : asLeft(record), work, order: this.order++, waiting: new Set() });
  }

  /** Goes on with what an earlier daemon left waiting. */
  begin(): void {
    this.startNext();
  }

  /** What the next daemon has to know. */
  kept(): KnownJob[] {
    return [...this.jobs.values()].map(({ record, work }) => {
      const waits = record.state === 'queued' && !OF_THE_MOMENT.includes(record.kind);
      return waits && work ? { record, work } : { record };
    });
  }

  /** In the order they came, as `told`. */
  list(): JobRecord[] {
    return this.known().map(({ record }) => told(record));
  }

  find(id: string): JobRecord | undefined {
    return this.known().find(({ record }) => record.id === id)?.record;
  }

  /** Folders that jobs which have not ended write or read. */
  usedFolders(): string[] {
    return [...this.jobs.values()]
      .filter(({ record }) => !hasEnded(record))
      .flatMap(({ record, work }) => [...(record.runDir === undefined ? [] : [record.runDir]), ...(work?.reads ?? [])]);
  }

  private known(): Job[] {
    return [...this.jobs.values()].filter(({ isNew }) => !isNew);
  }

  get active(): number {
    return this.list().filter(record => !hasEnded(record)).length;
  }

  /**
   * Resolves when the job is on the disk: what was answered is not forgotten.
   * @throws DaemonError 'queue-full', 'shutting-down'; 'not-recorded' where the disk does not take it, and then it is not queued
   */
  async add(work: NewJob): Promise<JobRecord> {
    const known = this.jobs.get(work.id);
    if (known) return known.record;
    if (this.isClosed) throw new DaemonError('shutting-down', 'the daemon is ending and takes no more jobs');
    if (this.active >= MAX_QUEUED)
      throw new DaemonError('queue-full', `${MAX_QUEUED} jobs wait already`, { hint: 'Wait for some of them, or stop them' });
    const { id, priority, title, runDir } = work;
    const record: JobRecord = {
      id,
      kind: work.request.kind,
      state: 'queued',
      priority,
      title,
      runDir,
      createdAt: new Date().toISOString(),
    };
    const job: Job = { record, work, order: this.order++, waiting: new Set(), isNew: true };
    this.jobs.set(id, job);
    this.forgetOldest();
    try {
      await this.params.persist();
    } catch (error) {
      this.jobs.delete(id);
      throw notRecorded('the job is not queued', error);
    }
    job.isNew = false;
    this.params.onChange(record);
    this.params.onEvent(id, { type: 'state', state: 'queued' });
    this.startNext();
    return job.record;
  }

  /** Training saves and ends, others end; what is queued leaves the queue. */
  stop(id: string): JobRecord {
    return this.end(id, 'stop');
  }

  abort(id: string): JobRecord {
    return this.end(id, 'abort');
  }

  prioritize(id: string, priority: number): JobRecord {
    const job = this.get(id);
    this.change(job, { priority });
    return job.record;
  }

  /** @throws DaemonError 'job-missing' */
  check(id: string): void {
    this.get(id);
  }

  /** Calls back once, when the job has ended; at once where it has. @returns takes the callback away */
  whenEnded(id: string, callback: (record: JobRecord) => void): () => void {
    const job = this.get(id);
    if (hasEnded(job.record)) callback(job.record);
    else job.waiting.add(callback);
    return () => void job.waiting.delete(callback);
  }

  /**
   * Takes and starts no more jobs, stops those that run (training saves), and resolves when every worker is gone. What waits is kept, but for
   * what somebody waits for at this moment: that ends, and who waits is told.
   */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const job of this.jobs.values())
      if (job.record.state === 'queued' && OF_THE_MOMENT.includes(job.record.kind))
        this.finish(job, { state: 'failed', failure: { code: 'daemon-ended', message: 'the daemon ended before it was its turn' } });
    const working = [...this.jobs.values()].filter(({ worker }) => worker !== undefined);
    await Promise.all(
      working.map(({ record: { id } }) => {
        const ended = new Promise<void>(resolve => this.whenEnded(id, () => resolve()));
        this.stop(id);
        return ended;
      }),
    );
  }

  /** @throws DaemonError 'job-missing' */
  private get(id: string): Job {
    const job = this.jobs.get(id);
    if (job && !job.isNew) return job;
    throw new DaemonError('job-missing', `there is no job ${JSON.stringify(id)}`, { hint: 'Ask for the list of jobs' });
  }

  private end(id: string, wish: 'stop' | 'abort'): JobRecord {
    const job = this.get(id);
    if (hasEnded(job.record)) return job.record;
    if (job.wish !== 'abort') job.wish = wish;
    if (job.worker === undefined) {
      this.finish(job, { state: wish === 'stop' ? 'stopped' : 'aborted' });
      return job.record;
    }
    const { worker } = job;
    const saves = job.wish === 'stop' && SAVING.includes(job.record.kind);
    if (saves) worker.stop();
    else worker.abort();
    this.change(job, { state: 'stopping' });
    return job.record;
  }

  private startNext(): void {
    if (this.isClosed) return;
    const all = [...this.jobs.values()];
    const busy = new Map(all.flatMap(job => (job.worker && job.lane ? [[job.lane, job] as const] : [])));
    const queued = all.filter(({ record, isNew }) => record.state === 'queued' && !isNew);
    queued.sort((a, b) => b.record.priority - a.record.priority || a.order - b.order);
    for (const job of queued) {
      const own = laneOf(job.record.kind);
      const lane = own === DEVICE && this.fitsBeside(job, busy.get(DEVICE)) ? BESIDE : own;
      if (busy.has(lane)) continue;
      busy.set(lane, job);
      job.lane = lane;
      this.start(job);
    }
  }

  /** Only beside a training that has done steps: before, it has not taken yet what it will take. */
  private fitsBeside({ work }: Job, busy: Job | undefined): boolean {
    if (work?.besideBytes === undefined || busy === undefined) return false;
    if (!SAVING.includes(busy.record.kind) || busy.record.metrics === undefined) return false;
    return this.params.availableBytes() >= BESIDE_ROOM * work.besideBytes;
  }

  private start(job: Job): void {
    if (job.work === undefined) return;
    const { id, request, threads } = job.work;
    const worker = startWorkerProcess({
      request,
      threads,
      workerFile: this.params.workerFile,
      stopTimes: this.params.stopTimes,
      onEvent: event => {
        if (event.type === 'phase') this.change(job, { phase: event.name });
        else if (event.type === 'progress') job.record = { ...job.record, progress: event };
        else if (event.type === 'metrics') {
          // The newest of each name: a line of the training says nothing of held-out data.
          job.record = { ...job.record, metrics: { step: event.step, values: { ...job.record.metrics?.values, ...event.values } } };
          this.startNext();
        }
        this.params.onEvent(id, event);
      },
      onLine: line => this.params.onLine(id, line),
    });
    job.worker = worker;
    this.change(job, { state: 'running', startedAt: new Date().toISOString(), pid: worker.pid });
    worker.ended.then(
      async outcome => {
        await this.settle(job, outcome);
        this.finish(job, outcomeOf(job, outcome));
      },
      (error: Error) =>
        this.finish(job, {
          state: 'failed',
          failure: { code: 'worker-start', message: `the worker could not be started: ${error.message}`, hint: 'Install rowtune anew' },
        }),
    );
  }

  /** A run that was to end and was killed: its folder says so, as its process could not. */
  private async settle({ wish, record: { id, kind, runDir } }: Job, { last }: WorkerOutcome): Promise<void> {
    if (wish === undefined || last !== undefined || runDir === undefined || !SAVING.includes(kind)) return;
    try {
      await settleStoppedRun(runDir);
    } catch (error) {
      this.params.onLine(id, `${runDir}: ${(error as Error).message}`);
    }
  }

  private finish(job: Job, end: Partial<JobRecord>): void {
    job.worker = undefined;
    const resume = end.state === 'succeeded' ? undefined : resumeOffer(job.record);
    this.change(job, { ...end, resume, pid: undefined, endedAt: new Date().toISOString() });
    for (const callback of job.waiting) callback(job.record);
    job.waiting.clear();
    this.forgetResults();
    this.startNext();
  }

  private change(job: Job, change: Partial<JobRecord>): void {
    const before = job.record.state;
    job.record = { ...job.record, ...change };
    this.params.onChange(told(job.record));
    if (job.record.state !== before) this.params.onEvent(job.record.id, { type: 'state', state: job.record.state });
  }

  /** Whoever waited has the result. */
  private forgetResults(): void {
    const all = [...this.jobs.values()].filter(({ record }) => record.result !== undefined);
    all.sort((a, b) => (b.record.endedAt ?? '').localeCompare(a.record.endedAt ?? ''));
    for (const job of all.slice(MAX_RESULTS)) job.record = { ...job.record, result: undefined };
  }

  private forgetOldest(): void {
    const ended = [...this.jobs.values()].filter(({ record }) => hasEnded(record));
    for (const { record } of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) this.jobs.delete(record.id);
  }
}

/** What everybody hears of a job: without the summary of a run, which may be long, lies in its folder, and is for who waits for this job. */
function told(record: JobRecord): JobRecord {
  if (record.runDir === undefined) return record;
  const { result: _, ...rest } = record;
  return rest;
}

/** @param what came of the request all the same */
export const notRecorded = (what: string, error: unknown): DaemonError => {
  const { message, hint } = error as DaemonError;
  return new DaemonError('not-recorded', `${what}: ${message}`, { hint, cause: error });
};

function outcomeOf({ wish }: Job, outcome: WorkerOutcome): Partial<JobRecord> {
  const { last } = outcome;
  if (last?.type === 'result') {
    // A training that was stopped from outside, by a signal to its worker, says so itself.
    const isStopped = wish === 'stop' || (last.value as { readonly state?: unknown } | undefined)?.state === 'stopped';
    return { state: wish === 'abort' ? 'aborted' : isStopped ? 'stopped' : 'succeeded', result: last.value };
  }
  if (wish === 'abort') return { state: 'aborted' };
  if (wish === 'stop' && (last === undefined || last.code === 'stopped')) return { state: 'stopped' };
  if (last) return { state: 'failed', failure: { code: last.code, message: last.message, hint: last.hint } };
  return { state: 'failed', failure: explainDeath(outcome) };
}

/** A job of an earlier daemon that was not seen to end. Its worker saves and ends when its parent is gone. */
function asLeft(record: JobRecord): JobRecord {
  if (hasEnded(record)) return record;
  const failure = { code: 'daemon-ended', message: 'the daemon ended while this job was queued or running' };
  return { ...record, state: 'failed', failure, pid: undefined, endedAt: new Date().toISOString(), resume: resumeOffer(record) };
}

/** A run that has a checkpoint can go on. */
function resumeOffer({ kind, runDir }: JobRecord): JobRecord['resume'] {
  if (runDir === undefined || !SAVING.includes(kind)) return undefined;
  return hasCheckpoint(runDir) ? { runDir } : undefined;
}
