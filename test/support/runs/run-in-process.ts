/** Runs a job in this process, as the worker does in its own. */

import { join } from 'node:path';
import { runJob } from '../../../trainer/handlers/job-handlers.ts';
import type { JobResults } from '../../../trainer/handlers/job-results.ts';
import type { TrainResult } from '../../../trainer/handlers/train/train-run.ts';
import { Job } from '../../../trainer/job/job.ts';
import type { JobContext, JobKind, JobRequest, WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import type { DataResult } from '../../../trainer/protocol/view/data.ts';

export interface InProcess<T> {
  readonly value: T;
  readonly events: readonly WorkerEvent[];
  /** Losses by step, from the lines of metrics. */
  readonly losses: ReadonlyMap<number, number>;
}

export async function runInProcess<Kind extends JobKind>(
  request: JobRequest & { readonly kind: Kind },
  onEvent: (event: WorkerEvent, job: Job) => void = () => undefined,
): Promise<InProcess<JobResults[Kind]>> {
  const events: WorkerEvent[] = [];
  const losses = new Map<number, number>();
  const job: Job = new Job(event => {
    events.push(event);
    if (event.type === 'metrics' && event.values.loss !== undefined) losses.set(event.step, event.values.loss);
    onEvent(event, job);
  });
  return { value: await runJob<Kind>(request, job), events, losses };
}

/** Returns the preview of a recipe's training data, with facts about all samples. */
export const previewInProcess = (recipe: Recipe, context: JobContext, changes: PreviewChanges = {}): Promise<InProcess<DataResult>> =>
  runInProcess({ kind: 'data', recipe, context, part: 'train', from: 0, count: 50, statistics: true, ...changes });

type PreviewChanges = Partial<Pick<Extract<JobRequest, { kind: 'data' }>, 'from' | 'count' | 'part' | 'statistics'>>;

/** Trains a run in a new folder. */
export type TrainRun = (
  runDir: string,
  overrides: readonly string[],
  onEvent?: Parameters<typeof runInProcess>[1],
) => Promise<InProcess<TrainResult>>;

/** Trains runs in `folder`. */
export const trainRunsIn =
  (folder: string, context: JobContext, recipe: (...overrides: string[]) => Recipe): TrainRun =>
  (runDir, overrides, onEvent) =>
    runInProcess({ kind: 'train', recipe: recipe(...overrides), runDir: join(folder, runDir), context }, onEvent);

/** Stops the run after a step and saves it. */
export const stopAfter =
  (step: number, save = true) =>
  (event: WorkerEvent, job: Job): void => {
    if (event.type === 'metrics' && event.step === step && event.values.loss !== undefined)
      job.requestStop({ save, reason: 'the test says so' });
  };
