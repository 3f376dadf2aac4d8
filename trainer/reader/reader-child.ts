/** One process that reads what strangers made: a request at a time, each within a budget of time and memory, and killed where it exceeds it. */

import { type ChildProcess, fork } from 'node:child_process';
import { deserialize } from 'node:v8';
import { processorTime } from '../machine/process-identity.ts';
import { isRecord } from '../narrow.ts';
import { byteSize } from '../protocol/text/format.ts';

export interface ReaderBudget {
  /** Processor time for one request; time by the clock where the system does not count it. */
  readonly timeoutMs: number;
  /** Limit of the JavaScript heap. */
  readonly heapBytes: number;
  /** Limit of the whole process. */
  readonly memoryBytes: number;
}

/** The header of an answer, before its bytes. */
export type ReaderAnswer =
  | { readonly value: unknown }
  /** Classes do not pass between processes: an error's own fields are sent with its name. */
  | { readonly error: { readonly name: string; readonly message: string; readonly stack?: string; readonly fields: object } };

const isAnswer = (value: unknown): value is ReaderAnswer =>
  isRecord(value) && ('value' in value || (isRecord(value.error) && typeof value.error.message === 'string'));

export interface ReaderTask {
  readonly name: string;
  readonly params: unknown;
  /** The activity, for the message if it is stopped: "Reading models/x". */
  readonly what: string;
  /** Time by the clock, less than the budget's, where whoever asks has no more. */
  readonly timeoutMs?: number | undefined;
}

/** Milliseconds. */
interface TimeUsed {
  readonly byClock: number;
  readonly byProcessor: number | undefined;
}

/** The process was killed, or ended by itself, before it answered. */
export class ReadStopped extends Error {
  override name = 'ReadStopped';
}

/** By the clock, a request may take so many times its processor time: the machine may be busy with training, and the disk slow. */
const PATIENCE = 6;

const BUSY = 'was stopped, because this machine is busy or its disk is slow. Try again later.';
const MADE_TO_EXHAUST = 'The file is damaged, or was made to use up time and memory.';

export class ReaderChild {
  readonly #process: ChildProcess;
  readonly #budget: ReaderBudget;
  /** Set once nothing can be asked any more. */
  hasEnded = false;

  /** @param script the bundle of `reader-process.ts` */
  constructor(script: string, budget: ReaderBudget) {
    this.#budget = budget;
    this.#process = fork(script, [String(budget.memoryBytes)], {
      execArgv: [`--max-old-space-size=${Math.round(budget.heapBytes / 2 ** 20)}`],
      serialization: 'advanced',
      // V8's last words about a full heap are no news to whoever reads the log.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#process.once('exit', () => {
      this.hasEnded = true;
    });
    // Whoever waits keeps its own process alive by the clock below; a reader does not.
    this.#process.unref();
    this.#process.channel?.unref();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Rejects as the request's function throws, by the same names; and with ReadStopped where the process had to be killed. */
  ask({ name, params, what, timeoutMs }: ReaderTask): Promise<unknown> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const limit = timeoutMs ?? this.#budget.timeoutMs;
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
      const begun = this.#timeUsed();
      const wait = (ms: number): void => {
        clock = setTimeout(() => {
          const left = timeoutMs === undefined ? this.#timeLeft(begun) : 0;
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
      const end = (status: number | null, signal: NodeJS.Signals | null): void => stop(this.#whyEnded(status, signal));
      const fail = (error: Error): void => stop(`failed: the reading process can't be reached (${error.message})`);
      child.on('message', take).on('exit', end).on('error', fail);
      child.send({ name, params }, error => error && fail(error));
    });
  }

  #timeUsed(): TimeUsed {
    return { byClock: performance.now(), byProcessor: this.pid === undefined ? undefined : processorTime(this.pid) };
  }

  /** Milliseconds that a request may still take; 'busy' where it has waited more than it worked, and for too long. */
  #timeLeft(begun: TimeUsed): number | 'busy' {
    const { timeoutMs } = this.#budget;
    const now = this.#timeUsed();
    if (now.byProcessor === undefined || begun.byProcessor === undefined) return 0;
    const ofWork = timeoutMs - (now.byProcessor - begun.byProcessor);
    const ofClock = PATIENCE * timeoutMs - (now.byClock - begun.byClock);
    return ofWork <= 0 ? 0 : ofClock <= 0 ? 'busy' : Math.min(ofWork, ofClock);
  }

  /** Ends the process, whatever it does. */
  end(): void {
    this.hasEnded = true;
    this.#process.kill('SIGKILL');
  }

  /** It kills itself above its memory; a full heap aborts it, with a status above 128 where there are no signals. */
  #whyEnded(status: number | null, signal: NodeJS.Signals | null): string {
    const { heapBytes, memoryBytes } = this.#budget;
    if (signal === 'SIGKILL' || signal === 'SIGABRT' || signal === 'SIGTRAP' || (status !== null && status > 128))
      return `took more than ${byteSize(signal === 'SIGKILL' ? memoryBytes : heapBytes)} of memory and was stopped. ${MADE_TO_EXHAUST}`;
    return `failed: the reading process ended with ${signal ?? `status ${status}`}`;
  }
}
