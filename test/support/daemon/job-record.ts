/** The record of a job, as the daemon sends it to clients. */
import type { JobRecord } from '../../../trainer/protocol/messages/rpc-messages.ts';

/** @param change to the record of a running training named spam */
export const jobRecord = (change: Partial<JobRecord> = {}): JobRecord => ({
  id: 'one',
  kind: 'train',
  state: 'running',
  priority: 0,
  title: 'spam',
  createdAt: '2026-01-01T00:00:00Z',
  ...change,
});
