/** Keeps the process of the last job whose model is still loaded, for the next job with the same model. */
import { type JobRequest, keptSeconds, takesDevice } from '../../protocol/messages/job-messages.ts';
import {
  type KeptWorker,
  startWorkerProcess,
  type WorkerOutcome,
  type WorkerProcess,
  type WorkerProcessParams,
} from '../../worker/worker-process.ts';

/** Fraction of its remaining time in which a kept process gets new jobs, because it then ends by itself. */
const USED_SHARE = 0.9;

export class WarmWorker {
  private kept: { readonly worker: KeptWorker; readonly model: string; readonly untilMs: number } | undefined;
  private isEnded = false;

  /**
   * Starts a job in the process that has its model, or in a new one. Any other job that needs the device ends the kept process to free its
   * memory.
   */
  start(params: WorkerProcessParams): WorkerProcess {
    const { request } = params;
    if (takesDevice(request.kind)) {
      const kept = this.kept;
      this.kept = undefined;
      if (kept?.worker.isAlive && kept.model === modelOf(request) && performance.now() < kept.untilMs) return kept.worker.again(params);
      kept?.worker.kill();
    }
    return startWorkerProcess(params);
  }

  /** Takes over the process of a job that has ended, if it was kept. */
  keep(request: JobRequest, { kept: worker }: WorkerOutcome): void {
    if (worker === undefined) return;
    this.kept?.worker.kill();
    this.kept = undefined;
    const model = modelOf(request);
    if (model === undefined || this.isEnded) worker.kill();
    else this.kept = { worker, model, untilMs: performance.now() + USED_SHARE * keptSeconds(request) * 1000 };
  }

  /** Ends the process, and keeps no other. */
  end(): void {
    this.isEnded = true;
    this.kept?.worker.kill();
    this.kept = undefined;
  }
}

/** Identifies the model that a job loads, if its process may be kept. */
const modelOf = (request: JobRequest): string | undefined =>
  keptSeconds(request) > 0 && request.kind === 'generate'
    ? JSON.stringify([request.model, request.revision, request.adapter, request.options.engine, request.context])
    : undefined;
