/** Worker processes that take requests by priority until a deadline. */
import { type ChildProcess, fork } from 'node:child_process';
import type { WorkAnswer, WorkerSetup, WorkRequest } from './messages.ts';

/** Thrown if there is no time left for a request. */
export class TimeIsUp extends Error {
  override name = 'TimeIsUp';
}

export interface PoolParams {
  /** The bundle of worker.ts. */
  readonly script: string;
  readonly count: number;
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly setup: WorkerSetup;
  /** In milliseconds, as `performance.now()`; infinite for no limit. */
  readonly deadline: number;
}

interface Waiting {
  readonly request: WorkRequest;
  readonly priority: number;
  readonly expectedSeconds: () => number;
  readonly done: (answer: WorkAnswer) => void;
  readonly failed: (error: Error) => void;
}

export class Pool {
  private readonly params: PoolParams;
  private readonly idle: ChildProcess[] = [];
  private readonly all: ChildProcess[] = [];
  private queue: Waiting[] = [];

  constructor(params: PoolParams) {
    this.params = params;
    for (let i = 0; i < params.count; i++) this.start();
  }

  /**
   * Runs a request when a worker is free and no request with a lower priority number waits.
   * @param expectedSeconds called when the request's turn comes; the request does not start if it would end after the deadline
   * @throws TimeIsUp, or Error if the worker ended
   */
  ask(request: WorkRequest, place: { readonly priority: number; readonly expectedSeconds: () => number }): Promise<WorkAnswer> {
    return new Promise((done, failed) => {
      this.queue.push({ request, ...place, done, failed });
      this.queue.sort((a, b) => a.priority - b.priority);
      // Deferred, so that all requests of the same moment are queued before the first one is taken.
      setImmediate(() => this.next());
    });
  }

  close(): void {
    for (const child of this.all) child.kill();
  }

  private start(): void {
    const { script, flags, environment, setup } = this.params;
    const child = fork(script, [JSON.stringify(setup)], { execArgv: [...flags], env: { ...process.env, ...environment } });
    this.all.push(child);
    this.idle.push(child);
  }

  private next(): void {
    for (let first = this.queue[0]; first !== undefined; first = this.queue[0]) {
      const { deadline } = this.params;
      const tooLate = performance.now() + 1000 * first.expectedSeconds() > deadline;
      if (tooLate) {
        this.queue.shift();
        first.failed(new TimeIsUp('the time of the study is up'));
        continue;
      }
      const child = this.idle.shift();
      if (child === undefined) return;
      this.queue.shift();
      this.give(child, first);
    }
  }

  private give(child: ChildProcess, { request, done, failed }: Waiting): void {
    const onAnswer = (answer: WorkAnswer): void => {
      child.off('exit', onExit);
      this.idle.push(child);
      done(answer);
      setImmediate(() => this.next());
    };
    const onExit = (code: number | null, signal: string | null): void => {
      child.off('message', onAnswer);
      failed(new Error(`a worker of the study ended unexpectedly (${signal ?? `exit status ${code}`})`));
    };
    child.once('message', onAnswer);
    child.once('exit', onExit);
    child.send(request);
  }
}
