/** One process that reads what strangers made: a request at a time, each within a budget of time and memory, and killed where it exceeds it. */

import { type ChildProcess, fork } from 'node:child_process';
import { deserialize } from 'node:v8';
import { isRecord } from '../narrow.ts';
import { byteSize } from '../protocol/format.ts';

export interface ReaderBudget {
  /** For one request. */
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
  /** Less than the budget's, where whoever asks has less time. */
  readonly timeoutMs?: number | undefined;
}

/** The process was killed, or ended by itself, before it answered. */
export class ReadStopped extends Error {
  override name = 'ReadStopped';
}

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
  ask({ name, params, what, timeoutMs = this.#budget.timeoutMs }: ReaderTask): Promise<unknown> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(clock);
        child.off('message', take).off('exit', end).off('error', fail);
      };
      const stop = (reason: string): void => {
        settle();
        this.end();
        reject(new ReadStopped(`${what} ${reason}`));
      };
      const clock = setTimeout(() => stop(`took longer than ${timeoutMs / 1000} s and was stopped. ${MADE_TO_EXHAUST}`), timeoutMs);
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
