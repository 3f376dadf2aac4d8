/** Sends lines in the background, several at once, so that training never waits for a server. */
import { setTimeout as pause } from 'node:timers/promises';
import { counted } from '../../protocol/text/format.ts';
import type { MetricsLine } from '../metrics-file.ts';
import { type Patience, startPatience } from './patience.ts';
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
  /** At the end of a run, the longest wait for a sign of the other side. */
  readonly silentMs: number;
  /** The longest wait at the end of a run, however often the other side answers. */
  readonly endMs: number;
}

const TIMES: SenderTimes = { pauseMs: 2000, retryMs: [500, 3000], silentMs: 15_000, endMs: 90_000 };
const MOST_AT_ONCE = 500;
/** A server that is this far behind is not there. */
const MOST_WAITING = 100_000;

export class LineSender implements MetricsTracker {
  readonly #target: LineTarget;
  readonly #times: SenderTimes;
  readonly #waiting: TimedLine[] = [];
  readonly #isEnding = new AbortController();
  /** Both count from the end of the run. */
  #silence: Patience | undefined;
  #total: Patience | undefined;
  #lines = 0;
  #taken = 0;
  #isOpen = false;
  #work: Promise<void> | undefined;
  #failure: Error | undefined;

  /**
   * @param targetOf makes the other side, which reports each sign that a server is there
   * @param lines those that the run has so far
   */
  constructor(
    targetOf: (answered: () => void) => LineTarget,
    lines: readonly MetricsLine[],
    { now = Date.now(), times = TIMES }: { readonly now?: number; readonly times?: SenderTimes | undefined } = {},
  ) {
    this.#target = targetOf(() => this.#silence?.renew());
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

  /**
   * Sends what is left, as long as the other side takes lines.
   * @throws what sending threw, or that the other side is silent or takes too long
   */
  async end(how: TrackedEnd): Promise<void> {
    this.#isEnding.abort();
    const whole = (async () => {
      await this.#work;
      if (this.#failure) throw this.#failure;
      await this.#attempt(() => this.#target.close(how));
    })();
    // Where time is up, it is not awaited.
    whole.catch(() => undefined);
    await Promise.race([whole, this.#limits()]).finally(() => {
      this.#silence?.stop();
      this.#total?.stop();
    });
  }

  /** Rejects when time is up. */
  #limits(): Promise<never> {
    const { silentMs, endMs } = this.#times;
    return new Promise((_, reject) => {
      const giveUp = (reason: string) => (): void => {
        reject(new Error(`${reason}; ${counted(this.#lines - this.#taken, 'line')} did not arrive`));
      };
      this.#silence = startPatience(silentMs, giveUp(`no answer for ${silentMs / 1000} s at the end of the run`));
      this.#total = startPatience(endMs, giveUp(`the last lines take more than ${endMs / 1000} s`));
    });
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
      this.#taken += lines.length;
      this.#silence?.renew();
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
