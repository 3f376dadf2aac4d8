/** Sends lines in the background, several at once, so that training never waits for a server. */
import { setTimeout as pause } from 'node:timers/promises';
import { counted } from '../../protocol/text/format.ts';
import type { MetricsLine } from '../metrics-file.ts';
import { type AnswerTimeout, startAnswerTimeout } from './patience.ts';
import type { MetricsTracker, TrackedEnd } from './tracker.ts';

/** A line with the time at which it was written, in milliseconds, and its index in metrics.jsonl, from 0. */
export interface TimedLine {
  readonly line: MetricsLine;
  readonly at: number;
  readonly place: number;
}

/** The destination of a sender. Each function is called after the previous call has completed. */
export interface LineTarget {
  /** Called once, before the first lines. */
  open(): Promise<void>;
  send(lines: readonly TimedLine[]): Promise<void>;
  close(how: TrackedEnd): Promise<void>;
}

export interface SenderTimes {
  /** Pause between two batches of lines. */
  readonly pauseMs: number;
  /** Pauses before each further attempt after a failure. */
  readonly retryMs: readonly number[];
  /** Maximum silence of the server at the end of a run. */
  readonly silentMs: number;
  /** Maximum wait at the end of a run, even if the server keeps answering. */
  readonly endMs: number;
}

const TIMES: SenderTimes = { pauseMs: 2000, retryMs: [500, 3000], silentMs: 15_000, endMs: 90_000 };
const MAX_AT_ONCE = 500;
/** Maximum number of waiting lines; a server that is further behind counts as unavailable. */
const MAX_WAITING = 100_000;

export class LineSender implements MetricsTracker {
  private readonly target: LineTarget;
  private readonly times: SenderTimes;
  private readonly waiting: TimedLine[] = [];
  private readonly isEnding = new AbortController();
  /** Time limits, which start at the end of the run. */
  private silence: AnswerTimeout | undefined;
  private total: AnswerTimeout | undefined;
  private lines = 0;
  private taken = 0;
  private isOpen = false;
  private work: Promise<void> | undefined;
  private failure: Error | undefined;

  /**
   * @param targetOf creates the destination, which reports each sign of life of the server
   * @param lines the lines of the run so far
   */
  constructor(
    targetOf: (answered: () => void) => LineTarget,
    lines: readonly MetricsLine[],
    { now = Date.now(), times = TIMES }: { readonly now?: number; readonly times?: SenderTimes | undefined } = {},
  ) {
    this.target = targetOf(() => this.silence?.renew());
    this.times = times;
    for (const line of lines) this.add(line, now);
    this.start();
  }

  /** Queues a line. @throws an earlier error of sending */
  async append(line: MetricsLine, now = Date.now()): Promise<void> {
    if (this.failure) throw this.failure;
    if (this.waiting.length >= MAX_WAITING) throw new Error(`${MAX_WAITING} lines wait to be sent`);
    this.add(line, now);
    this.start();
  }

  /**
   * Sends the remaining lines, as long as the destination accepts them.
   * @throws an error of sending, or if the server is silent or takes too long
   */
  async end(how: TrackedEnd): Promise<void> {
    this.isEnding.abort();
    const whole = (async () => {
      await this.work;
      if (this.failure) throw this.failure;
      await this.attempt(() => this.target.close(how));
    })();
    // After a timeout, this promise is not awaited.
    whole.catch(() => undefined);
    await Promise.race([whole, this.limits()]).finally(() => {
      this.silence?.stop();
      this.total?.stop();
    });
  }

  /** Rejects when the time is up. */
  private limits(): Promise<never> {
    const { silentMs, endMs } = this.times;
    return new Promise((_, reject) => {
      const giveUp = (reason: string) => (): void => {
        reject(new Error(`${reason}; ${counted(this.lines - this.taken, 'line')} did not arrive`));
      };
      this.silence = startAnswerTimeout(silentMs, giveUp(`no answer for ${silentMs / 1000} s at the end of the run`));
      this.total = startAnswerTimeout(endMs, giveUp(`the last lines take more than ${endMs / 1000} s`));
    });
  }

  private add(line: MetricsLine, at: number): void {
    this.waiting.push({ line, at, place: this.lines++ });
  }

  private start(): void {
    this.work ??= this.drain().then(
      () => {
        this.work = undefined;
      },
      (error: unknown) => {
        this.failure = error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  private async drain(): Promise<void> {
    if (!this.isOpen) await this.attempt(() => this.target.open());
    this.isOpen = true;
    while (this.waiting.length > 0) {
      const lines = this.waiting.splice(0, MAX_AT_ONCE);
      await this.attempt(() => this.target.send(lines));
      this.taken += lines.length;
      this.silence?.renew();
      const { signal } = this.isEnding;
      // The end of the run cuts the pause short.
      if (!signal.aborted) await pause(this.times.pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    for (const wait of this.times.retryMs) {
      try {
        return await work();
      } catch {
        await pause(wait);
      }
    }
    return work();
  }
}
