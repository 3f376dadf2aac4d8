/** The first thread's end of the thread that computes estimates, so that who asks goes on answering. */
import { Worker } from 'node:worker_threads';
import type { EstimateAnswer } from './estimate-thread.ts';
import type { EstimateParams, RecipeEstimate } from './predict.ts';

/** A thread that has nothing to do for so long gives its memory back, some 30 MB. */
const IDLE_MS = 60_000;

/** The thread starts with a request, and ends when none follows. */
export class EstimateWorker {
  readonly #script: string | URL;
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** The request before. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param script the bundle of `estimate-thread.ts`, where that is not beside this one */
  constructor(script: string | URL = new URL('./estimate.js', import.meta.url)) {
    this.#script = script;
  }

  /** Requests are answered in their order. Rejects as `estimateRecipe` throws, by the same names; and where the thread ends without an answer. */
  run(params: EstimateParams): Promise<RecipeEstimate> {
    const own = this.#last.then(() => this.#ask(params));
    this.#last = own.catch(() => undefined);
    return own;
  }

  #ask(params: EstimateParams): Promise<RecipeEstimate> {
    clearTimeout(this.#idle);
    const worker = this.#worker ?? new Worker(this.#script);
    this.#worker = worker;
    // It does not keep the process alive.
    worker.unref();
    return new Promise((resolve, reject) => {
      // Its own listeners stay: without them it hears no second answer.
      const forget = (): void => {
        worker.off('message', take).off('error', stop).off('exit', stop);
        this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
      };
      const take = (answer: EstimateAnswer): void => {
        forget();
        if ('estimate' in answer) resolve(answer.estimate);
        else reject(Object.assign(new Error(answer.error.message), answer.error));
      };
      const stop = (error: unknown): void => {
        forget();
        this.#worker = undefined;
        reject(error instanceof Error ? error : new Error(`the thread of estimates ended with status ${error}`));
      };
      worker.on('message', take).on('error', stop).on('exit', stop);
      worker.postMessage(params);
    });
  }

  #end(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }
}
