/**
 * Tests that the folder of XLA's tuning stays below its size limit: old devices and libraries are removed first, then the oldest results.
 */
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { removeLongestUnused } from '../../../../trainer/engine/pjrt/program-cache.ts';
import { tunedFolder } from '../../../../trainer/engine/pjrt/tuned-folder.ts';
import { required } from '../../../../trainer/narrow.ts';
import { temporaryFolder } from '../../../support/machine/temporary-folder.ts';

const target = (device: string) => ({ plugin: 'cuda 1', device });

/** Writes files of 100 bytes, oldest first. */
function fill(folder: string, ...names: readonly string[]): void {
  for (const [i, name] of names.entries()) {
    writeFileSync(path.join(folder, name), 'x'.repeat(100));
    utimesSync(path.join(folder, name), 1000 + i, 1000 + i);
  }
}

test('a device keeps its results, and the longest unused folder of another is removed', async () => {
  const cache = await temporaryFolder();
  const [old, recent, own] = ['old', 'recent', 'own'].map(name => tunedFolder(cache, target(name), 300));
  const folders = (await Promise.all([old, recent, own])).map(folder => required(folder, 'the folder'));
  for (const [i, folder] of folders.entries()) {
    fill(folder, 'a', 'b');
    utimesSync(folder, 1000 + i, 1000 + i);
  }
  expect(await tunedFolder(cache, target('own'), 400)).toBe(folders[2]);
  expect(folders.map(folder => existsSync(folder))).toEqual([false, true, true]);
  // The oldest of its own results are removed; no space is left for the other folder.
  fill(required(folders[2], 'the own folder'), 'a', 'b', 'c', 'd', 'e');
  await tunedFolder(cache, target('own'), 250);
  expect(folders.map(folder => existsSync(folder))).toEqual([false, false, true]);
  expect(readdirSync(required(folders[2], 'the own folder'))).toEqual(['d', 'e']);
});

test("a stray file does not remove a device's folder", async () => {
  const cache = await temporaryFolder();
  const folder = required(await tunedFolder(cache, target('any')), 'the folder');
  // XLA writes a result to a separate folder before moving it to the others.
  mkdirSync(path.join(folder, 'tmp'));
  writeFileSync(path.join(cache, 'tuned', 'stray'), '');
  fill(folder, 'a', 'b', 'c');
  utimesSync(path.join(folder, 'tmp'), 1, 1);
  expect(await tunedFolder(cache, target('any'), 250)).toBe(folder);
  expect(readdirSync(folder)).toEqual(['b', 'c', 'tmp']);
  // Folders of other targets are not kept either.
  const other = required(await tunedFolder(cache, target('other')), 'the folder of the other');
  fill(other, 'a', 'b');
  await tunedFolder(cache, target('any'), 250);
  expect(existsSync(other)).toBe(false);
});

test('every entry older than a removed one is removed too', async () => {
  const folder = await temporaryFolder();
  const entries = [60, 50, 30].map((bytes, age) => ({ path: path.join(folder, `${age}`), bytes, usedAt: 1000 - age }));
  for (const entry of entries) writeFileSync(entry.path, '');
  expect(await removeLongestUnused(entries, 100)).toBe(60);
  expect(readdirSync(folder)).toEqual(['0']);
});

test('a cache that cannot be written has none', async () => {
  const cache = await temporaryFolder();
  writeFileSync(path.join(cache, 'tuned'), '');
  expect(await tunedFolder(cache, target('any'))).toBeUndefined();
  mkdirSync(path.join(cache, 'fine'));
  expect(await tunedFolder(path.join(cache, 'fine'), target('any'))).toMatch(/fine.tuned/);
});
