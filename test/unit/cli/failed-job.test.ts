/** Tests which failed jobs of the daemon offer to resume: those that could not say it themselves. */
import { expect, test } from 'vitest';
import { failed } from '../../../trainer/cli/daemon/run-on-daemon.ts';
import { outcomeOf } from '../../../trainer/rpc/jobs/job-record.ts';

const ended = { status: 1, signal: null, lines: [], memory: undefined } as const;
const failureOf = (outcome: Parameters<typeof outcomeOf>[1]) => {
  const { failure } = outcomeOf(undefined, outcome);
  if (failure === undefined) throw new Error('the job did not fail');
  return failure;
};
const resume = 'rowtune resume runs/a';

test('a job that reported its failure keeps its own hint', () => {
  const last = { type: 'failed', code: 'disk-full', message: 'the disk is full', hint: `Continue with: ${resume}` } as const;
  expect(failed(failureOf({ ...ended, last }), resume)).toMatchObject({ code: 'disk-full', hint: `Continue with: ${resume}` });
  expect(failed(failureOf({ ...ended, last: { ...last, hint: undefined } }), resume).hint).toBeUndefined();
});

test('a job whose process died offers to resume', () => {
  const failure = failureOf({ ...ended, last: undefined });
  expect(failed(failure, resume)).toMatchObject({
    code: 'worker-died',
    hint: `Resume from the last checkpoint, if there is one: ${resume}`,
  });
  expect(failed(failure, undefined).hint).toBeUndefined();
});
