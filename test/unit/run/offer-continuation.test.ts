/** Tests what a stopped or failed run says about how it is continued. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { offerContinuation } from '../../../trainer/run/offer-continuation.ts';
import { RunError } from '../../../trainer/run-error.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'rowtune-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const runDir = path.join(folder, 'run');
mkdirSync(path.join(runDir, 'checkpoints', 'step-000003'), { recursive: true });

test('a run that is stopped before its first checkpoint says that nothing was saved', () =>
  expect(offerContinuation(new RunError('stopped', 'stopped at your request'), folder)).toMatchObject({
    code: 'stopped',
    hint: 'It has no checkpoint yet, so nothing was saved: start it again',
  }));

test('a resumed run that is stopped early is continued from its checkpoint', () =>
  expect(offerContinuation(new RunError('stopped', 'stopped at your request'), runDir)).toMatchObject({
    hint: `Continue from the last checkpoint with: rowtune resume ${runDir}`,
  }));

test('a failure that continuing does not repair is left as it is', () => {
  const error = new RunError('no-data', 'no data');
  expect(offerContinuation(error, runDir)).toBe(error);
});
