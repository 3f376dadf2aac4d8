import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DataProblems } from '../../../../trainer/data/data-error.ts';
import { openRecords } from '../../../../trainer/data/load/open-records.ts';
import { listDataFiles } from '../../../../trainer/data/read/list-files.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'rowtune-open-records-'));
const file = path.join(folder, 'train.jsonl');
writeFileSync(file, ['one', 'two', 'three'].map(text => `${JSON.stringify({ text, label: 'a' })}\n`).join(''));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open = async () =>
  (await openRecords(await listDataFiles([file]), { format: 'auto', columns: {}, textSplit: 'file' }, new DataProblems())).records;

/** Returns true if the file is open; links of a file that is being closed lead nowhere. */
const isOpen = (): boolean =>
  readdirSync('/proc/self/fd').some(name => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === file;
    } catch {
      return false;
    }
  });

describe.skipIf(process.platform !== 'linux')('the file of records that are not read to their end', () => {
  test.each([0, 1, 2])('is closed after reading %i of them', async count => {
    const records = await open();
    expect(isOpen()).toBe(true);
    for (let i = 0; i < count; i++) expect((await records.next()).value).toMatchObject({ value: { label: 'a' } });
    await records.return(undefined);
    expect(isOpen()).toBe(false);
  });

  test('gives every record once', async () => {
    const found: unknown[] = [];
    for await (const { value } of await open()) found.push(value.text);
    expect(found).toEqual(['one', 'two', 'three']);
    expect(isOpen()).toBe(false);
  });
});
