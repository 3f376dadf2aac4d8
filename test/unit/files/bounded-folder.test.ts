/** Tests that a cache folder keeps what was used last, and the files of others. */
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pruneFolder } from '../../../trainer/files/bounded-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-bounded-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the longest unused files go until the others fit', async () => {
  const write = (name: string, bytes: number, usedSeconds: number): void => {
    writeFileSync(join(folder, name), 'x'.repeat(bytes));
    utimesSync(join(folder, name), usedSeconds, usedSeconds);
  };
  write('a.cache', 40, 300);
  write('b.cache', 40, 100);
  write('c.cache', 40, 200);
  write('notes.txt', 500, 1);
  await pruneFolder(folder, { own: /\.cache$/, maxBytes: 120 });
  expect(readdirSync(folder).sort()).toEqual(['a.cache', 'b.cache', 'c.cache', 'notes.txt']);
  await pruneFolder(folder, { own: /\.cache$/, maxBytes: 90 });
  expect(readdirSync(folder).sort()).toEqual(['a.cache', 'c.cache', 'notes.txt']);
  await pruneFolder(folder, { own: /\.cache$/, maxBytes: 0 });
  expect(readdirSync(folder)).toEqual(['notes.txt']);
});
