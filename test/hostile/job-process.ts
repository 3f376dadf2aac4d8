/** Runs jobs of the trainer one after the other, each with its own fault, as the worker does but without a new process for each. */
import process from 'node:process';
import { runJob } from '../../trainer/handlers/job-handlers.ts';
import { Job } from '../../trainer/job/job.ts';
import { describeFailure } from '../../trainer/run-error.ts';
import type { FaultPlan } from './fault-plan.ts';
import { type FaultyJob, isFaultyJob, type JobOutcome } from './faulty-job.ts';

/** Calls the preload's function, if present. */
function setFault(plan: FaultPlan | undefined): void {
  const set: unknown = Reflect.get(globalThis, 'setFault');
  if (typeof set === 'function') set(plan);
}

async function work({ request, plan }: FaultyJob): Promise<JobOutcome> {
  setFault(plan);
  try {
    const value = await runJob(request, new Job(() => undefined));
    return { last: { type: 'result', value }, unexpected: false };
  } catch (error) {
    const { event, unexpected } = describeFailure(error);
    return { last: event, unexpected, stack: error instanceof Error ? error.stack : undefined };
  } finally {
    setFault(undefined);
  }
}

process.on('message', message => {
  if (!isFaultyJob(message)) throw new Error(`no job: ${JSON.stringify(message)}`);
  void work(message).then(outcome => process.send?.(outcome));
});
process.on('disconnect', () => process.exit(0));
