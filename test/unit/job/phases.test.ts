/** Tests that a phase is announced when it starts, and not again by the next function that does the same. */
import { expect, test } from 'vitest';
import { Job } from '../../../trainer/job/job.ts';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';

test('two readers of the same data announce it once; a later pass announces itself again', () => {
  const events: WorkerEvent[] = [];
  const job = new Job(event => events.push(event));
  job.phase('data', 'reading a.jsonl');
  job.phase('data', 'reading a.jsonl');
  job.phase('data', 'reading b.jsonl');
  job.phase('evaluate', 'evaluating');
  job.progress('evaluate', 2, 'batches')(2);
  job.phase('evaluate', 'evaluating');
  expect(events.flatMap(event => (event.type === 'phase' ? [event.message] : []))).toEqual([
    'reading a.jsonl',
    'reading b.jsonl',
    'evaluating',
    'evaluating',
  ]);
});
