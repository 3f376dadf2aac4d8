/** Tests that an estimate of a refused run is refused, and a stopped one is a problem of the model; any other error is not hidden. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { estimateModel, planModel } from '../../../trainer/lint/facts/estimate-model.ts';
import { lintDocument } from '../../../trainer/lint/lint.ts';
import { ReadStopped } from '../../../trainer/reader/reader-child.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
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

test('texts longer than the positions of the model are refused as training refuses them', async () => {
  const model = path.join(folder, 'models', 'tiny');
  const params = (length: number) => ({ model, recipe: recipeIn(`model: m\ndata: {train: [a.jsonl]}\nr: 8\nmax_length: ${length}\n`) });
  const message = 'max_length is 65, but the model has 64 positions. Set max_length to at most 64.';
  await expect(estimateModel(params(65))).rejects.toThrow(message);
  await expect(planModel({ ...params(65), usableBytes: 1e12 })).rejects.toThrow(message);
  expect((await estimateModel(params(64))).buckets[0]?.shape.tokens).toBe(64);
});
