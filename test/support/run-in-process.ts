/** Runs a job in this process, as the worker does in its own. */

import { runJob } from '../../trainer/handlers/job-handlers.ts';
import { Job } from '../../trainer/job/job.ts';
import type { JobRequest, WorkerEvent } from '../../trainer/protocol/job-messages.ts';

export interface InProcess<T> {
  readonly value: T;
  readonly events: readonly WorkerEvent[];
  /** Step → loss, of the lines of metrics. */
  readonly losses: ReadonlyMap<number, number>;
}

export async function runInProcess<T>(
  request: JobRequest,
  onEvent: (event: WorkerEvent, job: Job) => void = () => undefined,
): Promise<InProcess<T>> {
  const events: WorkerEvent[] = [];
  const losses = new Map<number, number>();
  const job: Job = new Job(event => {
    events.push(event);
    if (event.type === 'metrics' && event.values.loss !== undefined) losses.set(event.step, event.values.loss);
    onEvent(event, job);
  });
  return { value: (await runJob(request, job)) as T, events, losses };
}

/** Stops, saving, after a step. */
export const stopAfter =
  (step: number, save = true) =>
  (event: WorkerEvent, job: Job): void => {
    if (event.type === 'metrics' && event.step === step && event.values.loss !== undefined)
      job.requestStop({ save, reason: 'the test says so' });
  };
