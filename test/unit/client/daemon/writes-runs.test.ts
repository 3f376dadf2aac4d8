/** Tests that the list of runs is reloaded when jobs that write runs change state, so that a sweep's end appears without file watchers. */
import { expect, test } from 'vitest';
import { writesRuns } from '../../../../client/daemon/job-store.ts';

test.each([
  ['train', true],
  ['resume', true],
  ['sweep', true],
  ['evaluate', false],
  ['importance', false],
] as const)('a job %s writes runs: %s', (kind, writes) => expect(writesRuns({ kind })).toBe(writes));
