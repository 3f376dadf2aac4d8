/**
 * A process that reads untrusted files, one request at a time, each within a budget of time and memory; it is killed if it exceeds them.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { deserialize } from 'node:v8';
import { LATE_OPTIMIZING } from '../machine/late-optimizing.ts';
import { processorTime } from '../machine/process-identity.ts';
import { type Started, startProcess } from '../machine/start-process.ts';
import { isRecord } from '../narrow.ts';
import { byteSize } from '../protocol/text/format.ts';

export interface ReaderBudget {
  /** Maximum processor time for one request; wall-clock time if the system does not count processor time. */
  readonly timeoutMs: number;
  /** Limit of the JavaScript heap. */
  readonly heapBytes: number;
  /** Limit of the whole process. */
  readonly memoryBytes: number;
}

/** The header of an answer, before its bytes. */
export type ReaderAnswer =
  | { readonly value: unknown }
  /** Classes do not cross process boundaries, so an error's own fields are sent with its name. */
  | { readonly error: { readonly name: string; readonly message: string; readonly stack?: string; readonly fields: object } };

const isAnswer = (value: unknown): value is ReaderAnswer =>
  isRecord(value) && ('value' in value || (isRecord(value.error) && typeof value.error.message === 'string'));

export interface ReaderTask {
  readonly name: string;
  readonly params: unknown;
  /** The activity, for the message if it is stopped: "Reading models/x". */
  readonly what: string;
  /** Wall-clock limit, below the budget's, if the caller has less time. */
  readonly timeoutMs?: number | undefined;
}

/** Time in milliseconds. */
interface TimeUsed {
  readonly byClock: number;
  readonly byProcessor: number | undefined;
}

/** Thrown if the process was killed, or ended by itself, before it answered. */
export class ReadStopped extends Error {
  override name = 'ReadStopped';
}

/** Maximum wall-clock time as a multiple of the processor time: the machine may be busy with training, or the disk slow. */
const PATIENCE = 6;

const BUSY = 'was stopped, because this machine is busy or its disk is slow. Try again later.';
const MADE_TO_EXHAUST = 'The file is damaged, or was made to use up time and memory.';

export class ReaderChild {
  private readonly started: Started<ChildProcess>;
  private readonly budget: ReaderBudget;
  /** True once no more requests are possible. */
  hasEnded = false;

  /** @param script the bundle of `reader-process.ts` */
  constructor(script: string, budget: ReaderBudget) {
    this.budget = budget;
    this.started = startProcess(() =>
      fork(script, [String(budget.memoryBytes)], {
        // With the default, two fifths of the processor time of an estimate for a card are V8's optimizing compiler.
        execArgv: [`--max-old-space-size=${Math.round(budget.heapBytes / 2 ** 20)}`, ...LATE_OPTIMIZING],
        serialization: 'advanced',
        // V8's messages about a full heap are of no use to readers of the log.
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      }),
    );
    if ('failure' in this.started) {
      this.hasEnded = true;
      return;
    }
    const { child } = this.started;
    child.once('exit', () => {
      this.hasEnded = true;
    });
    // A pending request keeps this process alive through its timer; an idle reader does not.
    child.unref();
    child.channel?.unref();
  }

  get pid(): number | undefined {
    return 'child' in this.started ? this.started.child.pid : undefined;
  }

  /** Rejects with the errors of the request's function, under the same names; and with ReadStopped if the process had to be killed. */
  async ask({ name, params, what, timeoutMs }: ReaderTask): Promise<unknown> {
    if ('failure' in this.started) {
      const { message } = await this.started.failure;
      throw new ReadStopped(`${what} failed: the reading process can't be started (${message})`);
    }
    const { child } = this.started;
    return new Promise((resolve, reject) => {
      const limit = timeoutMs ?? this.budget.timeoutMs;
      let clock: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(clock);
        child.off('message', take).off('exit', end).off('error', fail);
      };
      const stop = (reason: string): void => {
        settle();
        this.end();
        reject(new ReadStopped(`${what} ${reason}`));
      };
      const begun = this.timeUsed();
      const wait = (ms: number): void => {
        clock = setTimeout(() => {
          const left = timeoutMs === undefined ? this.timeLeft(begun) : 0;
          if (typeof left === 'number' && left > 0) wait(left);
          else stop(left === 'busy' ? BUSY : `took longer than ${limit / 1000} s and was stopped. ${MADE_TO_EXHAUST}`);
        }, ms);
      };
      wait(limit);
      const take = (bytes: unknown): void => {
        settle();
        const answer: unknown = bytes instanceof Uint8Array ? deserialize(bytes) : undefined;
        if (!isAnswer(answer)) reject(new ReadStopped(`${what} gave no answer`));
        else if ('value' in answer) resolve(answer.value);
        else reject(Object.assign(new Error(answer.error.message), answer.error.fields, answer.error));
      };
      const end = (status: number | null, signal: NodeJS.Signals | null): void => stop(this.whyEnded(status, signal));
      const fail = (error: Error): void => stop(`failed: the reading process can't be reached (${error.message})`);
      child.on('message', take).on('exit', end).on('error', fail);
      child.send({ name, params }, error => error && fail(error));
    });
  }

  private timeUsed(): TimeUsed {
    return { byClock: performance.now(), byProcessor: this.pid === undefined ? undefined : processorTime(this.pid) };
  }

  /** Milliseconds that a request may still take; 'busy' if it has waited longer than it worked, and too long. */
  private timeLeft(begun: TimeUsed): number | 'busy' {
    const { timeoutMs } = this.budget;
    const now = this.timeUsed();
    if (now.byProcessor === undefined || begun.byProcessor === undefined) return 0;
    const ofWork = timeoutMs - (now.byProcessor - begun.byProcessor);
    const ofClock = PATIENCE * timeoutMs - (now.byClock - begun.byClock);
    return ofWork <= 0 ? 0 : ofClock <= 0 ? 'busy' : Math.min(ofWork, ofClock);
  }

  /** Ends the process, whatever it is doing. */
  end(): void {
    this.hasEnded = true;
    if ('child' in this.started) this.started.child.kill('SIGKILL');
  }

  /**
   * The reason why the process ended. It kills itself above its memory limit; a full heap aborts it, with a status above 128 on systems
   * without signals.
   */
  private whyEnded(status: number | null, signal: NodeJS.Signals | null): string {
    const { heapBytes, memoryBytes } = this.budget;
    if (signal === 'SIGKILL' || signal === 'SIGABRT' || signal === 'SIGTRAP' || (status !== null && status > 128))
      return `took more than ${byteSize(signal === 'SIGKILL' ? memoryBytes : heapBytes)} of memory and was stopped. ${MADE_TO_EXHAUST}`;
    return `failed: the reading process ended with ${signal ?? `status ${status}`}`;
  }
}
