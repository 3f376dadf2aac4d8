/** A process that does jobs of the trainer one after the other, each with a fault of its own: what the worker does, without starting anew. */
import process from 'node:process';
import { runJob } from '../../trainer/handlers/job-handlers.ts';
import { Job } from '../../trainer/job/job.ts';
import type { JobRequest, WorkerEvent } from '../../trainer/protocol/job-messages.ts';
import { describeFailure } from '../../trainer/run-error.ts';
import type { FaultPlan } from './fault-plan.ts';

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

const setFault = (globalThis as unknown as { setFault?: (plan: FaultPlan | undefined) => void }).setFault;

async function work({ request, plan }: FaultyJob): Promise<JobOutcome> {
  setFault?.(plan);
  try {
    const value = await runJob(request, new Job(() => undefined));
    return { last: { type: 'result', value }, unexpected: false };
  } catch (error) {
    const { event, unexpected } = describeFailure(error);
    return { last: event, unexpected, stack: error instanceof Error ? error.stack : undefined };
  } finally {
    setFault?.(undefined);
  }
}

process.on('message', message => void work(message as FaultyJob).then(outcome => process.send?.(outcome)));
process.on('disconnect', () => process.exit(0));
