/** The first thread's end of the thread that computes estimates. */
import { Worker } from 'node:worker_threads';
import type { EstimateAnswer } from '../trainer/lint/estimates.ts';
import type { EstimateParams } from '../trainer/memory/predict.ts';

/** Takes one request at a time; the thread starts with the first and is started anew after a crash. */
export class EstimateWorker {
  readonly #script: URL;
  #worker: Worker | undefined;

  /** @param script the bundle, which is its own thread's script */
  constructor(script: URL) {
    this.#script = script;
  }

  /** Rejects where the thread ends without an answer. */
  run(params: EstimateParams): Promise<EstimateAnswer> {
    const worker = this.#worker ?? new Worker(this.#script);
    this.#worker = worker;
    // A thread that has nothing to do does not keep the process alive.
    worker.unref();
    return new Promise((resolve, reject) => {
      const stop = (error: unknown): void => {
        this.#worker = undefined;
        worker.removeAllListeners();
        reject(error instanceof Error ? error : new Error(`the thread of estimates ended with status ${error}`));
      };
      worker.once('error', stop);
      worker.once('exit', stop);
      worker.once('message', (answer: EstimateAnswer) => {
        worker.removeAllListeners();
        resolve(answer);
      });
      worker.postMessage(params);
    });
  }
}
