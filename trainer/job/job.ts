/** What a job talks to: events for the parent, lines for the log of the run, and the wish to stop. */
import { appendFileSync } from 'node:fs';
import type { LogLevel, WorkerEvent } from '../protocol/job-messages.ts';
import { RunError } from '../run-error.ts';

export interface StopRequest {
  readonly save: boolean;
  /** Why, as it is kept in the state of the run. */
  readonly reason: string;
}

/** Between two progress events of a phase: often enough for a moving bar. */
const PROGRESS_INTERVAL_MS = 100;

export class Job {
  private readonly send: (event: WorkerEvent) => void;
  private logFile: string | undefined;
  private early: string[] = [];
  private stopRequest: StopRequest | undefined;
  private readonly abort = new AbortController();

  constructor(send: (event: WorkerEvent) => void) {
    this.send = send;
  }

  emit(event: WorkerEvent): void {
    this.send(event);
  }

  phase(name: string, message: string): void {
    this.note('info', message);
    this.emit({ type: 'phase', name, message });
  }

  log(level: LogLevel, message: string): void {
    this.note(level, message);
    this.emit({ type: 'log', level, message });
  }

  /** A line for the log of the run alone. */
  note(level: LogLevel, message: string): void {
    const line = `${new Date().toISOString()} ${level} ${message}\n`;
    if (this.logFile === undefined) this.early.push(line);
    else appendQuietly(this.logFile, line);
  }

  /** From here on lines go into this file; those from before come first. */
  logTo(file: string): void {
    this.logFile = file;
    appendQuietly(file, this.early.join(''));
    this.early = [];
  }

  /** Counts toward a total; emits rate and time left, now and then and at the end. */
  progress(phase: string, total: number, unit: string, done = 0): (done: number, message?: string) => void {
    const [startedMs, startedAt] = [performance.now(), done];
    let shownMs = Number.NEGATIVE_INFINITY;
    return (now, message) => {
      const nowMs = performance.now();
      if (now < total && nowMs - shownMs < PROGRESS_INTERVAL_MS) return;
      shownMs = nowMs;
      const seconds = (nowMs - startedMs) / 1000;
      const ratePerSecond = now > startedAt && seconds > 0 ? (now - startedAt) / seconds : undefined;
      const secondsLeft = ratePerSecond === undefined ? undefined : (total - now) / ratePerSecond;
      this.emit({ type: 'progress', phase, done: now, total, unit, ratePerSecond, secondsLeft, message });
    };
  }

  /** The first wish counts, except that one not to save beats one to save. */
  requestStop(request: StopRequest): void {
    if (this.stopRequest === undefined || (this.stopRequest.save && !request.save)) this.stopRequest = request;
    this.abort.abort();
  }

  /** For work that is told to stop by a signal. */
  get signal(): AbortSignal {
    return this.abort.signal;
  }

  get stop(): StopRequest | undefined {
    return this.stopRequest;
  }

  /** Lets messages and signals in; to be awaited between pieces of work that block the thread. */
  async breathe(): Promise<void> {
    await new Promise<void>(resolve => setImmediate(resolve));
  }

  /** @throws RunError 'stopped' where the job is to stop */
  checkStop(): void {
    if (this.stopRequest) throw new RunError('stopped', this.stopRequest.reason);
  }

  /** The error of a job that was to stop: where the wish is what broke its work off, that and not the break is what is told. */
  explain(error: unknown): unknown {
    const { stopRequest } = this;
    if (stopRequest === undefined || (error instanceof RunError && error.code === 'stopped')) return error;
    const isBroken = !stopRequest.save || hasBrokenOff(error);
    return isBroken ? new RunError('stopped', stopRequest.reason, undefined, { cause: error }) : error;
  }
}

/** What `Job.signal` does to a download, directly or as the cause of another error. */
const hasBrokenOff = (error: unknown): boolean =>
  error instanceof Error && (error.name === 'AbortError' || (error.cause !== undefined && hasBrokenOff(error.cause)));

/** A log that can't be written must not end a run that goes well. */
function appendQuietly(file: string, text: string): void {
  try {
    appendFileSync(file, text);
  } catch {
    // Nothing more can be done.
  }
}
