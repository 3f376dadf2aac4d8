/** Tests that a folder with training data and held-out data is not read as one data set. */
import { expect, test } from 'vitest';
import { checkOnePart } from '../../../../trainer/data/read/list-files.ts';

test.each(['heldout.jsonl', 'hold-out', 'validation-00000.parquet', 'test'])('train.jsonl and %s are two parts', heldOut => {
  expect(() => checkOnePart('data', ['train.jsonl', heldOut])).toThrow(`holds train.jsonl and ${heldOut}`);
});

test('several training files are one part', () => {
  expect(() => checkOnePart('data', ['train-1.jsonl', 'train-2.jsonl', 'testimonials.jsonl'])).not.toThrow();
});
