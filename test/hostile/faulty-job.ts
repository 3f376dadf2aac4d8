/** Messages between `job-runner.ts` and the process that runs its jobs. */
import { isRecord } from '../../trainer/narrow.ts';
import { isJobRequest, type JobRequest, type WorkerEvent } from '../../trainer/protocol/messages/job-messages.ts';
import { readWorkerEvent } from '../../trainer/worker/worker-events.ts';
import { type FaultPlan, isFaultPlan } from './fault-plan.ts';

export interface FaultyJob {
  readonly request: JobRequest;
  readonly plan?: FaultPlan;
}

export interface JobOutcome {
  /** The last event: a result, or a failure. */
  readonly last: WorkerEvent;
  readonly unexpected: boolean;
  readonly stack?: string;
}

export const isFaultyJob = (message: unknown): message is FaultyJob =>
  isRecord(message) && isJobRequest(message.request) && (message.plan === undefined || isFaultPlan(message.plan));

export const isJobOutcome = (message: unknown): message is JobOutcome =>
  isRecord(message) && readWorkerEvent(message.last) !== undefined && typeof message.unexpected === 'boolean';
