/** The only place where untrusted files are read: sends requests to processes that can be killed, so that the caller stays responsive. */

import { fileURLToPath } from 'node:url';
import { required } from '../narrow.ts';
import { type ReaderBudget, ReaderChild, type ReaderTask, ReadStopped } from './reader-child.ts';
import type { ReaderAnswerOf, ReaderParamsOf, ReaderRequestName } from './reader-requests.ts';

/** The budget of a request. Reading the headers of the largest models takes two seconds and a quarter of this memory. */
const BUDGET: ReaderBudget = { timeoutMs: 20_000, heapBytes: 1024 * 2 ** 20, memoryBytes: 1536 * 2 ** 20 };
/** Maximum number of processes: if one is stuck until its time is up, the other still answers. */
const MAX_CHILDREN = 2;
/** Milliseconds that a request waits for a busy process before the next one starts, which takes about a second of processor time. */
const BUSY_MS = 2000;
/** Maximum number of waiting requests. An editor requests a few files at once, the daemon one after the other. */
const MAX_WAITING = 1000;
/** Milliseconds after which an idle process ends, which frees about 70 MB. */
const IDLE_MS = 60_000;

interface Waiting extends ReaderTask {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The part of a reader that callers need. */
export type AskReader = Pick<Reader, 'ask'>;

export interface ReaderOptions {
  /** Path of the bundle of `reader-process.ts`, if it is not next to this one. */
  readonly script?: string;
  readonly budget?: Partial<ReaderBudget>;
  readonly maxWaiting?: number;
}

/** Starts a process for a request, keeps it while it works correctly, and ends it when no request follows. */
export class Reader {
  private readonly script: string;
  private readonly budget: ReaderBudget;
  private readonly maxWaiting: number;
  private readonly queue: Waiting[] = [];
  private readonly busy = new Set<ReaderChild>();
  private readonly free = new Map<ReaderChild, NodeJS.Timeout>();
  /** The timer that starts another process; undefined if no request waits for one. */
  private waiting: NodeJS.Timeout | undefined;

  constructor({ script = fileURLToPath(new URL('./reader.js', import.meta.url)), budget, maxWaiting = MAX_WAITING }: ReaderOptions = {}) {
    this.script = script;
    this.budget = { ...BUDGET, ...budget };
    this.maxWaiting = maxWaiting;
  }

  /** Ids of the running processes. */
  get pids(): number[] {
    return [...this.busy, ...this.free.keys()].flatMap(({ pid }) => pid ?? []);
  }

  /**
   * Sends a request. Rejects with the errors of its function, as an Error with the same name and fields; with ReadStopped if it took too
   * much time or memory, or if too many requests are waiting.
   * @param what the activity, for that message: "Reading models/x"
   * @param timeoutMs wall-clock limit, below the budget's
   */
  ask<Name extends ReaderRequestName>(
    name: Name,
    params: ReaderParamsOf<Name>,
    what: string,
    timeoutMs?: number,
  ): Promise<ReaderAnswerOf<Name>> {
    return new Promise((resolve, reject) => {
      if (this.queue.length >= this.maxWaiting) {
        reject(new ReadStopped(`${what} was not started, because ${this.queue.length} files wait to be read. Try again later.`));
        return;
      }
      // The child runs the function that the table has under this name, so its answer has that function's type.
      this.queue.push({ name, params, what, timeoutMs, resolve: value => resolve(value as ReaderAnswerOf<Name>), reject });
      this.next();
    });
  }

  /** Ends all processes; waiting requests are rejected. */
  close(): void {
    for (const { what, reject } of this.queue.splice(0)) reject(new ReadStopped(`${what} was stopped.`));
    for (const child of [...this.busy, ...this.free.keys()]) child.end();
    for (const timer of this.free.values()) clearTimeout(timer);
    this.free.clear();
    this.stopWaiting();
  }

  /** Gives the next request to a free process, or to a new one if all have been busy for a while. */
  private next(): void {
    for (const [child, timer] of this.free) if (child.hasEnded) this.forget(child, timer);
    const [free] = this.free;
    if (this.queue.length === 0 || this.busy.size >= MAX_CHILDREN) this.stopWaiting();
    else if (free !== undefined) {
      this.forget(...free);
      this.give(free[0]);
    } else if (this.busy.size === 0) this.start();
    else this.waiting ??= setTimeout(() => this.start(), BUSY_MS);
  }

  private start(): void {
    this.give(new ReaderChild(this.script, this.budget));
  }

  private stopWaiting(): void {
    clearTimeout(this.waiting);
    this.waiting = undefined;
  }

  private give(child: ReaderChild): void {
    this.stopWaiting();
    const task = required(this.queue.shift(), 'the next element');
    this.busy.add(child);
    const release = (): void => {
      this.busy.delete(child);
      if (!child.hasEnded) this.free.set(child, setTimeout(() => this.retire(child), IDLE_MS).unref());
      this.next();
    };
    // Release the child first, so that a caller that sends another request at once finds it free.
    child.ask(task).then(
      value => {
        release();
        task.resolve(value);
      },
      error => {
        release();
        task.reject(error);
      },
    );
    this.next();
  }

  private retire(child: ReaderChild): void {
    this.free.delete(child);
    child.end();
  }

  private forget(child: ReaderChild, timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.free.delete(child);
  }
}
