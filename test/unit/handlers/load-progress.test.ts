/** The loading of weights reports itself, and heeds a request to stop. */
import { expect, test } from 'vitest';
import { loadProgress } from '../../../trainer/handlers/load-progress.ts';
import { Job } from '../../../trainer/job/job.ts';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';

test('a stop that is requested between two weights ends it at the next one', () => {
  const events: WorkerEvent[] = [];
  const job = new Job(event => events.push(event));
  const report = loadProgress(job);
  report(0, 100);
  job.requestStop({ save: true, reason: 'stopped at your request' });
  expect(() => report(40, 100)).toThrow('stopped at your request');
  expect(events).toMatchObject([{ type: 'progress', phase: 'load', done: 0 }]);
});
