/** Sends lines in the background, several at once, so that training never waits for a server. */
import { setTimeout as pause } from 'node:timers/promises';
import type { MetricsLine } from '../metrics-file.ts';
import type { MetricsTracker, TrackedEnd } from './tracker.ts';

/** A line with the time at which it was written, in milliseconds, and its place in metrics.jsonl, from 0. */
export interface TimedLine {
  readonly line: MetricsLine;
  readonly at: number;
  readonly place: number;
}

/** The other side of a sender. Each function is called after the one before it has ended. */
export interface LineTarget {
  /** Called once, before the first lines. */
  open(): Promise<void>;
  send(lines: readonly TimedLine[]): Promise<void>;
  close(how: TrackedEnd): Promise<void>;
}

export interface SenderTimes {
  /** Between two batches of lines. */
  readonly pauseMs: number;
  /** Before each further attempt at what has failed. */
  readonly retryMs: readonly number[];
  /** The longest wait at the end of a run. */
  readonly endMs: number;
}

const TIMES: SenderTimes = { pauseMs: 2000, retryMs: [500, 3000], endMs: 15_000 };
const MOST_AT_ONCE = 500;
/** A server that is this far behind is not there. */
const MOST_WAITING = 100_000;

export class LineSender implements MetricsTracker {
  readonly #target: LineTarget;
  readonly #times: SenderTimes;
  readonly #waiting: TimedLine[] = [];
  readonly #isEnding = new AbortController();
  #lines = 0;
  #isOpen = false;
  #work: Promise<void> | undefined;
  #failure: Error | undefined;

  /** @param lines those that the run has so far */
  constructor(target: LineTarget, lines: readonly MetricsLine[], { now = Date.now(), times = TIMES } = {}) {
    this.#target = target;
    this.#times = times;
    for (const line of lines) this.#add(line, now);
    this.#start();
  }

  /** @throws what sending threw before */
  async append(line: MetricsLine, now = Date.now()): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#waiting.length >= MOST_WAITING) throw new Error(`${MOST_WAITING} lines wait to be sent`);
    this.#add(line, now);
    this.#start();
  }

  /** Sends what is left. @throws what sending threw, or that it took too long */
  async end(how: TrackedEnd): Promise<void> {
    this.#isEnding.abort();
    const whole = (async () => {
      await this.#work;
      if (this.#failure) throw this.#failure;
      await this.#attempt(() => this.#target.close(how));
    })();
    const { endMs } = this.#times;
    const late = pause(endMs, undefined, { ref: false }).then(() => {
      throw new Error(`the last lines were not taken within ${endMs / 1000} s`);
    });
    // The one that comes later is not awaited.
    whole.catch(() => undefined);
    await Promise.race([whole, late]);
  }

  #add(line: MetricsLine, at: number): void {
    this.#waiting.push({ line, at, place: this.#lines++ });
  }

  #start(): void {
    this.#work ??= this.#drain().then(
      () => {
        this.#work = undefined;
      },
      (error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  async #drain(): Promise<void> {
    if (!this.#isOpen) await this.#attempt(() => this.#target.open());
    this.#isOpen = true;
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.splice(0, MOST_AT_ONCE);
      await this.#attempt(() => this.#target.send(lines));
      const { signal } = this.#isEnding;
      // An end cuts the pause short.
      if (!signal.aborted) await pause(this.#times.pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    for (const wait of this.#times.retryMs) {
      try {
        return await work();
      } catch {
        await pause(wait);
      }
    }
    return work();
  }
}
