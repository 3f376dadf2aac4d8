/** Tests damaged Parquet files whose errors are not awaited: they must become errors about the data, and nothing else may be thrown. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { readRecords } from '../../../../trainer/data/read/read-records.ts';

const corpus = join(import.meta.dirname, '..', '..', '..', 'hostile', 'corpus', 'parquet');
const unobserved: unknown[] = [];
const listen = (error: unknown): void => void unobserved.push(error);
process.on('unhandledRejection', listen);
afterAll(() => void process.off('unhandledRejection', listen));

test.each(readdirSync(corpus))('%s', async name => {
  const file = join(corpus, name);
  const read = async (): Promise<void> => {
    const records = readRecords({ files: [{ file, extension: '.parquet', bytes: statSync(file).size }], textSplit: 'file' });
    for await (const record of records) expect(record.file).toBe(file);
  };
  await expect(read()).rejects.toMatchObject({ name: 'DataError', message: expect.stringContaining('not a readable Parquet file') });
  // Such errors occur when reading ahead ends.
  await delay(50);
  expect(unobserved).toEqual([]);
});
