/** The interface of a job: events for the parent, lines for the run's log, and stop requests. */
import { appendFileSync } from 'node:fs';
import type { LogLevel, WorkerEvent } from '../protocol/messages/job-messages.ts';
import { RunError } from '../run-error.ts';

export interface StopRequest {
  readonly save: boolean;
  /** The reason, as stored in the state of the run. */
  readonly reason: string;
}

/** Milliseconds between progress events of a phase: frequent enough for a smooth bar. */
const PROGRESS_INTERVAL_MS = 100;
/** Seconds before a phase reports a rate: the first tensor or batch says nothing about the others. */
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

  /** Returns a job that reports nothing and stops together with this one, for work of which only the result matters. */
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

  /** Starts a phase. A phase that has just started is not announced again: two readers of the data may try one after the other. */
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

  /** Writes a line to the run's log only. */
  note(level: LogLevel, message: string): void {
    const line = `${new Date().toISOString()} ${level} ${message}\n`;
    if (this.logFile === undefined) this.early.push(line);
    else appendQuietly(this.logFile, line);
  }

  /** From now on, writes lines to this file, starting with the earlier ones. */
  logTo(file: string): void {
    this.logFile = file;
    appendQuietly(file, this.early.join(''));
    this.early = [];
  }

  /** Starts counting toward a total; emits rate and remaining time at intervals and at the end. */
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

  /** Requests a stop. The first request counts, except that a request without saving overrides one with saving. */
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

  /** The AbortSignal of the job, for work that can be aborted. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  get stop(): StopRequest | undefined {
    return this.stopRequest;
  }

  /** Lets messages and signals arrive; awaited between units of work that block the thread. */
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

/** True for the error that `Job.signal` causes in a download, directly or as the cause of another error. */
const hasBrokenOff = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'AbortError' || (error.cause !== undefined && hasBrokenOff(error.cause)));

/** Appends text; a log that cannot be written must not end a healthy run. */
function appendQuietly(file: string, text: string): void {
  try {
    appendFileSync(file, text);
  } catch {
    // Nothing more can be done.
  }
}
