/** Tests writing behind: bytes keep their order, whatever their size, and disk errors are thrown where they occur. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WriteBehind } from '../../../trainer/files/write-behind.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const MIB = 2 ** 20;

test('pieces follow each other, and flushes between them change nothing', async () => {
  const path = join(makeTemporaryFolder(), 'file');
  const handle = await open(path, 'w');
  const pieces = [1, 50 * MIB, 0, 20 * MIB, 3].map((size, i) => Buffer.alloc(size, i + 1));
  const behind = new WriteBehind(handle, 5);
  for (const piece of pieces) await behind.write(piece);
  await behind.end();
  await handle.close();
  expect(Buffer.compare(await readFile(path), Buffer.concat([Buffer.alloc(5), ...pieces]))).toBe(0);
});

test('the bytes before are written when the next are taken', async () => {
  const path = join(makeTemporaryFolder(), 'file');
  const handle = await open(path, 'w');
  const behind = new WriteBehind(handle, 0);
  const scratch = Buffer.alloc(MIB, 1);
  await behind.write(scratch);
  await behind.write(Buffer.alloc(MIB, 2));
  scratch.fill(9);
  await behind.end();
  await handle.close();
  expect([...new Set(await readFile(path))]).toEqual([1, 2]);
});

test('an error of the disk is that of the next piece, or of the end', async () => {
  const path = join(makeTemporaryFolder(), 'file');
  await (await open(path, 'w')).close();
  for (const finish of [(behind: WriteBehind) => behind.write(Buffer.alloc(1)), (behind: WriteBehind) => behind.end()]) {
    const handle = await open(path, 'r');
    const behind = new WriteBehind(handle, 0);
    await behind.write(Buffer.alloc(10));
    await expect(finish(behind)).rejects.toThrow(/EBADF/);
    await handle.close();
  }
});
