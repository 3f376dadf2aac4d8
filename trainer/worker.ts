/** The worker process: takes one job from its parent, does it, tells how it went, ends. */

import process from 'node:process';
import { runJob } from './handlers/job-handlers.ts';
import { Job } from './job/job.ts';
import { isRecord } from './narrow.ts';
import { isJobRequest, STOPPED_BY_USER, type WorkerEvent } from './protocol/job-messages.ts';
import { describeFailure } from './run-error.ts';

const job = new Job(send);
let begun = false;

/** A parent that is gone hears nothing; the run folder has everything. */
function send(event: WorkerEvent): void {
  if (process.connected) process.send?.(event, () => undefined);
}

/** Resolves when the event is on its way. */
function sendLast(event: WorkerEvent): Promise<void> {
  return new Promise(resolve => {
    if (process.connected && process.send) process.send(event, () => resolve());
    else resolve();
  });
}

async function work(request: unknown): Promise<void> {
  let status = 0;
  try {
    if (!isJobRequest(request)) throw new TypeError('the first message to a worker must be its job');
    await sendLast({ type: 'result', value: await runJob(request, job) });
  } catch (error) {
    const { event, unexpected } = describeFailure(job.explain(error));
    const details = unexpected && error instanceof Error ? (error.stack ?? error.message) : event.message;
    job.note('error', details);
    // A job without a run folder has only its parent's log.
    if (unexpected) console.error(details);
    await sendLast(event);
    status = 1;
  }
  // Engines keep threads and timers of their own; nothing of ours is left to do.
  process.exit(status);
}

process.on('message', message => {
  if (begun) {
    // Whatever else is said to a job that works: it ends in order.
    const save = !(isRecord(message) && message.save === false);
    job.requestStop({ save, reason: STOPPED_BY_USER });
    return;
  }
  begun = true;
  void work(message);
});
process.on('disconnect', () => {
  if (!begun) process.exit(1);
  job.requestStop({ save: true, reason: 'stopped because the process that started it has ended' });
});
// To a job that is to stop already: it has taken too long, and must not save any more.
process.on('SIGTERM', () =>
  job.requestStop(job.stop === undefined ? { save: true, reason: 'stopped by a signal (SIGTERM)' } : { ...job.stop, save: false }),
);
// The terminal sends it to everyone in the group; what it means is the parent's to say.
process.on('SIGINT', () => undefined);
