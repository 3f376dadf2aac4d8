/** The daemon's job queue, by priority. Each job runs in its own worker process, with a share of the device that no other job has. */

import { messageOf } from '../../protocol/error-facts.ts';
import { isTrainingKind, type JobKind, type JobRequest, takesDevice } from '../../protocol/messages/job-messages.ts';
import type { JobEvent, JobRecord } from '../../protocol/messages/rpc-messages.ts';
import { type DeviceShare, isWhole } from '../../protocol/run/device-share.ts';
import { settleStoppedRun } from '../../run/settle-run.ts';
import type { StopTimes } from '../../worker/stop-worker.ts';
import type { WorkerOutcome, WorkerProcess } from '../../worker/worker-process.ts';
import { DaemonError } from '../daemon-error.ts';
import { type Devices, shareNextTo, type WantedShare } from './device-shares.ts';
import { asLeft, hasEnded, type JobEnding, outcomeOf, publicRecord, resumeOffer } from './job-record.ts';
import { WarmWorker } from './warm-worker.ts';

/** Maximum number of queued jobs: more than anyone queues by hand, to stop a script that starts jobs in a loop. */
const MAX_QUEUED = 1000;
/** Number of records of ended jobs to keep; their results are in run folders anyway. */
const MAX_ENDED = 200;
/** Maximum number of results to keep for late requests; they may be long. */
const MAX_RESULTS = 20;

export interface QueueParams {
  readonly workerFile?: string;
  readonly stopTimes?: StopTimes;
  /** Jobs of earlier starts of the daemon. */
  readonly known: readonly KnownJob[];
  /** Returns the free memory of this machine. */
  availableBytes(): number;
  readonly devices: Devices;
  /** Resolves when `kept()` is on disk. */
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
  /** Number of threads per operation; 0 for all cores. */
  readonly threads: number;
  readonly runDir?: string;
  /** Folders of runs and adapters that the job will read; they cannot be deleted while it is queued. */
  readonly reads?: readonly string[];
  /** The memory that the job needs, if it may run next to a training; otherwise it waits for its turn. */
  readonly sharedBytes?: number;
  /** Number of processes of the run. */
  readonly processes?: number;
  /** The part of the machine that a training needs; if left out, the whole machine. */
  readonly share?: WantedShare | undefined;
}

/** A job as it is stored across restarts of the daemon; it includes its request while it is queued. */
export interface KnownJob {
  readonly record: JobRecord;
  readonly work?: NewJob;
}

interface QueuedJob {
  record: JobRecord;
  readonly order: number;
  readonly work?: NewJob;
  worker?: WorkerProcess;
  lane?: string;
  ending?: JobEnding;
  /** True if the job is not on disk yet: it is not announced and does not start. */
  isNew?: boolean;
  readonly waiting: Set<(record: JobRecord) => void>;
}

/**
 * The lane in which a job waits. A job that needs no device does not wait for trainings; a page of samples does not wait for statistics of
 * all samples, either.
 */
function laneOf({ request }: NewJob): string {
  if (takesDevice(request.kind)) return DEVICE;
  return request.kind === 'data' && request.statistics ? 'statistics' : 'look';
}
const DEVICE = 'device';
/** The lane of short jobs that fit in memory, such as generating text during a training. */
const SHARED = 'shared';
/**
 * Minimum free memory, as a multiple of a job's need next to a training, whose evaluations and checkpoints may need more memory than its
 * steps.
 */
const SHARED_ROOM = 2;
/** Jobs for which a user waits interactively; after a restart of the daemon, nobody waits for them. */
const INTERACTIVE: readonly JobKind[] = ['generate', 'data', 'doctor'];

export class JobQueue {
  private readonly jobs = new Map<string, QueuedJob>();
  private readonly params: QueueParams;
  private order = 0;
  private isClosed = false;
  private readonly warm = new WarmWorker();

  constructor(params: QueueParams) {
    this.params = params;
    for (const { record, work } of params.known)
      this.jobs.set(record.id, { record: work ? record : asLeft(record), work, order: this.order++, waiting: new Set() });
  }

  /** Continues the queue of an earlier daemon. */
  begin(): void {
    this.startNext();
  }

  /** The data that the next daemon needs. */
  kept(): KnownJob[] {
    return [...this.jobs.values()].map(({ record, work }) => {
      const waits = record.state === 'queued' && !INTERACTIVE.includes(record.kind);
      return waits && work ? { record, work } : { record };
    });
  }

  /** The public records, in order of arrival. */
  list(): JobRecord[] {
    return this.known().map(({ record }) => publicRecord(record));
  }

  find(id: string): JobRecord | undefined {
    return this.known().find(({ record }) => record.id === id)?.record;
  }

  /** Folders that unfinished jobs write or read. */
  usedFolders(): string[] {
    return [...this.jobs.values()]
      .filter(({ record }) => !hasEnded(record))
      .flatMap(({ record, work }) => [...(record.runDir === undefined ? [] : [record.runDir]), ...(work?.reads ?? [])]);
  }

  /** Folders that jobs write now or will write; a job that was asked to stop only finishes its writing, and a later job waits for that. */
  heldFolders(): string[] {
    const held = [...this.jobs.values()].filter(({ record, ending }) => !hasEnded(record) && ending === undefined);
    return held.flatMap(({ record: { runDir } }) => runDir ?? []);
  }

  private known(): QueuedJob[] {
    return [...this.jobs.values()].filter(({ isNew }) => !isNew);
  }

  get active(): number {
    return this.list().filter(record => !hasEnded(record)).length;
  }

  /**
   * Adds a job. Resolves when it is on disk: an answered request is never lost.
   * @throws DaemonError 'queue-full', 'shutting-down'; 'not-recorded' if it cannot be written, in which case it is not queued
   */
  async add(work: NewJob): Promise<JobRecord> {
    const known = this.jobs.get(work.id);
    if (known) return known.record;
    if (this.isClosed) throw new DaemonError('shutting-down', 'the daemon is shutting down and accepts no more jobs');
    if (this.active >= MAX_QUEUED)
      throw new DaemonError('queue-full', `${MAX_QUEUED} jobs are already queued`, { hint: 'Wait for some of them, or stop them' });
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
    const job: QueuedJob = { record, work, order: this.order++, waiting: new Set(), isNew: true };
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

  /** Stops a job: a training saves and ends, other jobs end; a queued job leaves the queue. */
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

  /** Calls back once when the job has ended, or at once if it has already ended. @returns a function that removes the callback */
  whenEnded(id: string, callback: (record: JobRecord) => void): () => void {
    const job = this.get(id);
    if (hasEnded(job.record)) callback(job.record);
    else job.waiting.add(callback);
    return () => void job.waiting.delete(callback);
  }

  /**
   * Accepts and starts no more jobs, stops running ones (training saves), and resolves when every worker has ended. Queued jobs are kept,
   * except those that a client is waiting for: they end, and the client gets an error.
   */
  async close(): Promise<void> {
    this.isClosed = true;
    this.warm.end();
    for (const job of this.jobs.values())
      if (job.record.state === 'queued' && INTERACTIVE.includes(job.record.kind))
        this.finish(job, { state: 'failed', failure: { code: 'daemon-ended', message: 'the daemon ended before the job started' } });
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
  private get(id: string): QueuedJob {
    const job = this.jobs.get(id);
    if (job && !job.isNew) return job;
    throw new DaemonError('job-missing', `there is no job ${JSON.stringify(id)}`, { hint: 'Ask for the list of jobs' });
  }

  private end(id: string, ending: JobEnding): JobRecord {
    const job = this.get(id);
    if (hasEnded(job.record)) return job.record;
    if (job.ending !== 'abort') job.ending = ending;
    if (job.worker === undefined) {
      this.finish(job, { state: ending === 'stop' ? 'stopped' : 'aborted' });
      return job.record;
    }
    const { worker } = job;
    const saves = job.ending === 'stop' && isTrainingKind(job.record.kind);
    if (saves) worker.stop();
    else worker.abort();
    this.change(job, { state: 'stopping' });
    return job.record;
  }

  private startNext(): void {
    if (this.isClosed) return;
    const all = [...this.jobs.values()];
    const working = all.filter(({ worker }) => worker !== undefined);
    const busy = new Set(working.flatMap(({ lane }) => lane ?? []));
    const onDevice = working.filter(({ lane }) => lane === DEVICE);
    // A job that waits for the device is not overtaken by jobs that need less of it.
    let isTaken = false;
    const queued = all.filter(({ record, isNew }) => record.state === 'queued' && !isNew);
    queued.sort((a, b) => b.record.priority - a.record.priority || a.order - b.order);
    for (const job of queued) {
      if (job.work === undefined) continue;
      const own = laneOf(job.work);
      const share: DeviceShare | undefined = own === DEVICE && !isTaken ? this.shareOf(job.work, onDevice) : undefined;
      const lane: string = own === DEVICE && share === undefined && this.fitsNextTo(job.work.sharedBytes, onDevice) ? SHARED : own;
      if (lane === DEVICE ? share === undefined : busy.has(lane)) {
        isTaken ||= lane === DEVICE;
        continue;
      }
      busy.add(lane);
      if (lane === DEVICE) onDevice.push(job);
      job.lane = lane;
      job.record = { ...job.record, share };
      this.start(job);
    }
  }

  /** The share of the device that a job gets now; undefined if it has to wait. */
  private shareOf({ processes, share: wanted }: NewJob, onDevice: readonly QueuedJob[]): DeviceShare | undefined {
    const running = onDevice.flatMap(({ record }) => record.share ?? []);
    const share = shareNextTo(running, wanted, this.params.devices);
    if (share === undefined || (running.length > 0 && !this.fitsNextTo(wanted?.bytes, onDevice))) return undefined;
    return { ...share, processes: processes ?? 1 };
  }

  /** True if a job fits next to trainings. They must have made updates: before that, their memory is not allocated yet. */
  private fitsNextTo(bytes: number | undefined, onDevice: readonly QueuedJob[]): boolean {
    if (bytes === undefined || onDevice.length === 0) return false;
    if (!onDevice.every(({ record }) => isTrainingKind(record.kind) && record.metrics !== undefined)) return false;
    return this.params.availableBytes() >= SHARED_ROOM * bytes;
  }

  private start(job: QueuedJob): void {
    if (job.work === undefined) return;
    const { id, request } = job.work;
    const { share } = job.record;
    const part = share === undefined || isWhole(share) ? undefined : share;
    const threads = job.work.threads || (part?.cores ?? 0);
    const worker = this.warm.start({
      request: part === undefined ? request : { ...request, context: { ...request.context, cores: part.cores } },
      threads,
      gpus: part && part.gpus.length > 0 ? part.gpus : undefined,
      workerFile: this.params.workerFile,
      stopTimes: this.params.stopTimes,
      onEvent: event => {
        if (event.type === 'phase') this.change(job, { phase: event.name });
        else if (event.type === 'progress') job.record = { ...job.record, progress: event };
        else if (event.type === 'metrics') {
          // The newest value of each name: a training line contains no held-out metrics.
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
        this.warm.keep(request, outcome);
        await this.settle(job, outcome);
        this.finish(job, outcomeOf(job.ending, outcome));
      },
      (error: Error) =>
        this.finish(job, {
          state: 'failed',
          failure: {
            code: 'worker-start',
            message: `the worker could not be started: ${error.message}`,
            hint: 'End programs that use up memory, processes or open files. If that has no effect, reinstall Rowtune',
          },
        }),
    );
  }

  /** Records the end of a run that was killed after a stop request, because its process could not. */
  private async settle({ ending, record: { id, kind, runDir } }: QueuedJob, { last }: WorkerOutcome): Promise<void> {
    if (ending === undefined || last !== undefined || runDir === undefined || !isTrainingKind(kind)) return;
    try {
      await settleStoppedRun(runDir);
    } catch (error) {
      this.params.onLine(id, `${runDir}: ${messageOf(error)}`);
    }
  }

  private finish(job: QueuedJob, end: Partial<JobRecord>): void {
    job.worker = undefined;
    const resume = end.state === 'succeeded' ? undefined : resumeOffer(job.record);
    this.change(job, { ...end, resume, pid: undefined, endedAt: new Date().toISOString() });
    for (const callback of job.waiting) callback(job.record);
    job.waiting.clear();
    this.forgetResults();
    this.startNext();
  }

  private change(job: QueuedJob, change: Partial<JobRecord>): void {
    const before = job.record.state;
    job.record = { ...job.record, ...change };
    this.params.onChange(publicRecord(job.record));
    if (job.record.state !== before) this.params.onEvent(job.record.id, { type: 'state', state: job.record.state });
  }

  /** Drops old results that all waiting clients have received. */
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

/** @param what the effect that the request has nevertheless */
export const notRecorded = (what: string, error: unknown): DaemonError => {
  const hint = error instanceof DaemonError ? error.hint : undefined;
  return new DaemonError('not-recorded', `${what}: ${messageOf(error)}`, { hint, cause: error });
};
