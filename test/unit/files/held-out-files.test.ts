/** Tests which files are taken for the held-out data of a file of training data. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { heldOutFiles, heldOutNames, isHeldOutName } from '../../../trainer/files/held-out-files.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const names = (train: string, ...others: readonly string[]) =>
  heldOutNames(
    train,
    [train, ...others].map(name => ({ name, isFolder: false })),
  );

test.each([
  ['train.jsonl', ['heldout.jsonl']],
  ['train.jsonl', ['eval.jsonl']],
  ['train.jsonl', ['evaluation_set.jsonl']],
  ['train.jsonl', ['testset.jsonl']],
  ['chats.jsonl', ['hold-out.jsonl']],
  ['Mails_Train.csv', ['mails_val.csv']],
  ['mails.csv', ['mails-test.CSV']],
  ['train-00000-of-00002.parquet', ['validation-00000-of-00001.parquet']],
])('%s has the held-out data %j', (train, [heldOut = '']) => {
  expect(names(train, heldOut)).toEqual([heldOut]);
  expect(isHeldOutName(heldOut)).toBe(true);
});

test.each([
  // Other data.
  ['train.jsonl', 'chats.jsonl'],
  ['mails.csv', 'chats-val.csv'],
  ['train.jsonl', 'testimonials.jsonl'],
  ['train.jsonl', 'eval_results.jsonl'],
  // Another kind of file.
  ['train.jsonl', 'val.md'],
  // Somebody who trains on test data has a reason.
  ['test.jsonl', 'val.jsonl'],
])('for %s, %s is not held-out data', (train, other) => expect(names(train, other)).toEqual([]));

test('the same subject comes first, and test data last', () => {
  const found = names('mails-train.csv', 'test.csv', 'mails-test.csv', 'dev.csv', 'mails-val.csv', 'eval.csv', 'heldout.csv');
  expect(found).toEqual(['mails-val.csv', 'mails-test.csv', 'heldout.csv', 'dev.csv', 'eval.csv', 'test.csv']);
});

test('a folder has held-out data only if its name says that it is for training', () => {
  const entries = ['train', 'photos', 'val', 'test.jsonl'].map(name => ({ name, isFolder: !name.includes('.') }));
  expect([heldOutNames('train', entries), heldOutNames('photos', entries)]).toEqual([['val'], []]);
});

test('files are found in the folder of the training data', async () => {
  const folder = makeTemporaryFolder();
  for (const name of ['train.csv', 'val.csv']) writeFileSync(join(folder, name), '');
  mkdirSync(join(folder, 'test.csv'));
  expect(await heldOutFiles(join(folder, 'train.csv'))).toEqual([join(folder, 'val.csv')]);
  expect(await heldOutFiles(join(folder, 'gone.csv'))).toEqual([]);
  expect(await heldOutFiles('someone/data')).toEqual([]);
});
