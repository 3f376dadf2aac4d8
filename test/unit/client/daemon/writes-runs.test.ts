/** The list of runs is read anew with the state of jobs that write runs; no watcher of files is needed to see how a sweep ended. */
import { expect, test } from 'vitest';
import { writesRuns } from '../../../../client/daemon/job-store.ts';

test.each([
  ['train', true],
  ['resume', true],
  ['sweep', true],
  ['evaluate', false],
  ['importance', false],
] as const)('a job %s writes runs: %s', (kind, writes) => expect(writesRuns({ kind })).toBe(writes));
