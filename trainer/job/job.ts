/** The interface of a job: events for the parent, lines for the run's log, and stop requests. */
import { appendFileSync } from 'node:fs';
import type { LogLevel, WorkerEvent } from '../protocol/messages/job-messages.ts';
import { RunError } from '../run-error.ts';

export interface StopRequest {
  readonly save: boolean;
  /** The reason, as stored in the state of the run. */
  readonly reason: string;
}

/** Interval between progress events of a phase: frequent enough for a moving bar. */
const PROGRESS_INTERVAL_MS = 100;
/** Seconds before which a phase has no rate: the first tensor or batch says nothing of the others. */
export const RATED_AFTER_S = 0.5;

export class Job {
  private readonly send: (event: WorkerEvent) => void;
  private logFile: string | undefined;
  private early: string[] = [];
  private phaseMessage: string | undefined;
  private stopRequest: StopRequest | undefined;
  private pending: StopRequest | undefined;
  private awaitsAgreement = false;
  private readonly abort = new AbortController();

  constructor(send: (event: WorkerEvent) => void) {
    this.send = send;
  }

  /** A job that reports nothing and stops with this one: for work whose result alone is of interest. */
  quiet(): Job {
    const quiet = new Job(() => undefined);
    const pass = (): void => {
      if (this.stopRequest) quiet.requestStop(this.stopRequest);
    };
    this.signal.addEventListener('abort', pass, { once: true });
    pass();
    return quiet;
  }

  emit(event: WorkerEvent): void {
    if (event.type === 'progress') this.phaseMessage = undefined;
    this.send(event);
  }

  /** Begins a phase. One that has just begun is not announced again: two readers of the data may try it one after the other. */
  phase(name: string, message: string): void {
    if (message === this.phaseMessage) return;
    this.phaseMessage = message;
    this.note('info', message);
    this.emit({ type: 'phase', name, message });
  }

  log(level: LogLevel, message: string): void {
    this.note(level, message);
    this.emit({ type: 'log', level, message });
  }

  /** A line for the run's log only. */
  note(level: LogLevel, message: string): void {
    const line = `${new Date().toISOString()} ${level} ${message}\n`;
    if (this.logFile === undefined) this.early.push(line);
    else appendQuietly(this.logFile, line);
  }

  /** From now on, lines are written to this file, starting with the earlier ones. */
  logTo(file: string): void {
    this.logFile = file;
    appendQuietly(file, this.early.join(''));
    this.early = [];
  }

  /** Counts toward a total; emits rate and time left at intervals and at the end. */
  progress(phase: string, total: number, unit: string, done = 0): (done: number, message?: string) => void {
    const [startedMs, startedAt] = [performance.now(), done];
    let shownMs = Number.NEGATIVE_INFINITY;
    return (now, message) => {
      const nowMs = performance.now();
      if (now < total && nowMs - shownMs < PROGRESS_INTERVAL_MS) return;
      shownMs = nowMs;
      const seconds = (nowMs - startedMs) / 1000;
      const ratePerSecond =
        now > startedAt && seconds > 0 && (seconds >= RATED_AFTER_S || now >= total) ? (now - startedAt) / seconds : undefined;
      const secondsLeft = ratePerSecond === undefined ? undefined : (total - now) / ratePerSecond;
      this.emit({ type: 'progress', phase, done: now, total, unit, ratePerSecond, secondsLeft, message });
    };
  }

  /** The first request counts, except that a request not to save overrides one to save. */
  requestStop(request: StopRequest): void {
    if (this.awaitsAgreement && this.stopRequest === undefined) {
      this.pending = this.pending?.save === false ? this.pending : request;
      return;
    }
    if (this.stopRequest === undefined || (this.stopRequest.save && !request.save)) this.stopRequest = request;
    this.abort.abort();
  }

  /** From now on, a first request waits until all processes of the run follow it (`adopt`). */
  awaitAgreement(): void {
    this.awaitsAgreement = true;
  }

  get pendingStop(): StopRequest | undefined {
    return this.pending;
  }

  adopt(request: StopRequest): void {
    this.awaitsAgreement = false;
    this.requestStop(request);
  }

  /** For work that stops by an AbortSignal. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  get stop(): StopRequest | undefined {
    return this.stopRequest;
  }

  /** Lets messages and signals arrive; awaited between pieces of work that block the thread. */
  async yieldToEvents(): Promise<void> {
    await new Promise<void>(resolve => setImmediate(resolve));
  }

  /** @throws RunError 'stopped' if a stop was requested */
  checkStop(): void {
    if (this.stopRequest) throw new RunError('stopped', this.stopRequest.reason);
  }

  /** The error of a stopped job: if the stop request caused another error, the request is reported instead. */
  explain(error: unknown): unknown {
    const { stopRequest } = this;
    if (stopRequest === undefined || (error instanceof RunError && error.code === 'stopped')) return error;
    const isBroken = !stopRequest.save || hasBrokenOff(error);
    return isBroken ? new RunError('stopped', stopRequest.reason, undefined, { cause: error }) : error;
  }
}

/** The error that `Job.signal` causes in a download, directly or as the cause of another error. */
const hasBrokenOff = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'AbortError' || (error.cause !== undefined && hasBrokenOff(error.cause)));

/** A log that can't be written must not end a healthy run. */
function appendQuietly(file: string, text: string): void {
  try {
    appendFileSync(file, text);
  } catch {
    // Nothing more can be done.
  }
}
