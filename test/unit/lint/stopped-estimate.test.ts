/** Tests that a stopped estimate is a problem of the model; any other error of it is a bug that is not hidden. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { lintDocument } from '../../../trainer/lint/lint.ts';
import { ReadStopped } from '../../../trainer/reader/reader-child.ts';
import { makeWorkspace, sourcesOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lint = (error: Error) =>
  lintDocument(
    { text: 'model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: spam.jsonl}\n', file: path.join(folder, 'a.rowtune.yaml') },
    { ...sourcesOf({ folder }), estimate: () => Promise.reject(error) },
  );

test('an estimate that took too long is an error on the model', async () => {
  const message = 'Estimating the memory of a.rowtune.yaml took longer than 20 s and was stopped.';
  expect(await lint(new ReadStopped(message))).toEqual([
    expect.objectContaining({ code: 'unreadable-model', severity: 'error', message, path: ['model'] }),
  ]);
});

test('an unexpected exception is not hidden', async () => {
  await expect(lint(new TypeError('x is undefined'))).rejects.toThrow('x is undefined');
});
