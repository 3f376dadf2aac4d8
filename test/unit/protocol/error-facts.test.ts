/** Tests the message and code of thrown values, whether or not they are errors, and messages of the operating system in plain words. */
import { mkdir, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { codeOf, messageOf } from '../../../trainer/protocol/error-facts.ts';

const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test('an error has its message, any other value its text', () => {
  expect(messageOf(new TypeError('it is not a number'))).toBe('it is not a number');
  expect(messageOf('plain text')).toBe('plain text');
  expect(messageOf(undefined)).toBe('undefined');
});

test('an error of the operating system tells what failed and where, without code and system call', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'rowtune-'));
  expect(messageOf(await caught(readFile(path.join(folder, "it's gone"))))).toBe(`no such file or directory: ${folder}/it's gone`);
  expect(messageOf(await caught(readFile(folder)))).toBe('illegal operation on a directory');
});

test('it names the file that was to be written, not the temporary one', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'rowtune-'));
  const file = path.join(folder, 'state.json');
  const temporary = `${file}.123-0a1b2c3d.tmp`;
  const nowhere = path.join(folder, 'none', path.basename(temporary));
  expect(messageOf(await caught(writeFile(nowhere, '')))).toBe(`no such file or directory: ${folder}/none/state.json`);
  await writeFile(temporary, '');
  await mkdir(file);
  expect(messageOf(await caught(rename(temporary, file)))).toBe(`illegal operation on a directory: ${file}`);
});

test('an error that only looks like one of the operating system keeps its message', () => {
  expect(messageOf(new Error('EACCES: permission denied, open /x'))).toBe('EACCES: permission denied, open /x');
  expect(messageOf(Object.assign(new Error('the disk, full'), { code: 'ENOSPC' }))).toBe('the disk, full');
});

test('only text counts as a code', async () => {
  expect(codeOf(await readFile('/no/such/file').catch((error: unknown) => error))).toBe('ENOENT');
  for (const value of [new Error('without'), { code: 5 }, null, 'ENOENT']) expect(codeOf(value)).toBeUndefined();
});
