/** Requests of the study's main process to a worker, and the answers. */
import type { StudySources, TaskData } from './data.ts';
import type { PlannedRun, TaskPlan } from './plan.ts';
import type { StudyRow } from './rows.ts';

/** Sent once, before any request. */
export interface WorkerSetup {
  readonly cacheDir: string;
  readonly folder: string;
  readonly threads: number;
  /** Number of workers of the study, including this one. */
  readonly workers: number;
  readonly sources: StudySources;
}

export type WorkRequest =
  | { readonly kind: 'prepare'; readonly task: TaskPlan }
  | { readonly kind: 'run'; readonly run: PlannedRun; readonly data: TaskData };

export type WorkAnswer =
  | { readonly kind: 'prepare'; readonly result: TaskData }
  | { readonly kind: 'run'; readonly result: StudyRow }
  | { readonly kind: 'failed'; readonly message: string };
