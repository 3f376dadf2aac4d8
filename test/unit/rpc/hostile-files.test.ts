/** Tests untrusted run folders: links to the outside, pipes and devices instead of files, and endless lines. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tailRun } from '../../../trainer/rpc/run-reader.ts';
import { readScores } from '../../../trainer/rpc/scores-reader.ts';
import { tailFile } from '../../../trainer/rpc/tail-file.ts';
import { readRunState } from '../../../trainer/run/run-state.ts';

let base: string;
const runDir = (name: string): string => {
  const folder = join(base, name);
  mkdirSync(folder, { recursive: true });
  return folder;
};
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'rowtune-hostile-'));
  writeFileSync(join(base, 'secret'), 'a password\n');
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const tail = (folder: string, file: 'metrics' | 'log' = 'metrics') => tailRun({ runDir: folder, file, from: 0 });

describe.skipIf(process.platform === 'win32')('files that are not what they seem', () => {
  test('a link out of the run folder is not read, neither by lines nor as scores', async () => {
    const folder = runDir('links');
    for (const name of ['metrics.jsonl', 'recipe.yaml', 'x.scores.safetensors']) symlinkSync(join(base, 'secret'), join(folder, name));
    await expect(tail(folder)).rejects.toMatchObject({ code: 'outside-folder' });
    for (const name of ['recipe.yaml', 'x.scores.safetensors'])
      await expect(readScores({ path: join(folder, name), from: 0 })).rejects.toMatchObject({ code: 'outside-folder' });
  });

  test('a run folder that is itself a link is read', async () => {
    const folder = runDir('real');
    writeFileSync(join(folder, 'metrics.jsonl'), '{}\n');
    symlinkSync(folder, join(base, 'linked'));
    expect((await tail(join(base, 'linked'))).lines).toEqual(['{}']);
    expect((await readScores({ path: join(base, 'linked', 'recipe.yaml'), from: 0 })).version).toBe('');
  });

  test('a pipe blocks nothing: neither lines, scores nor the state of the run', async () => {
    const folder = runDir('pipes');
    for (const name of ['metrics.jsonl', 'state.json', 'scores.safetensors']) execFileSync('mkfifo', [join(folder, name)]);
    await expect(tail(folder)).rejects.toMatchObject({ code: 'not-regular-file' });
    await expect(readScores({ path: join(folder, 'scores.safetensors'), from: 0 })).rejects.toMatchObject({ code: 'not-regular-file' });
    expect(await readRunState(folder)).toBeUndefined();
  });

  test('a device without end as state is no state', async () => {
    const folder = runDir('device');
    symlinkSync('/dev/zero', join(folder, 'state.json'));
    expect(await readRunState(folder)).toBeUndefined();
  });
});

describe('lines without end', () => {
  test('a file of terabytes is refused by its size', async () => {
    const folder = runDir('vast');
    writeFileSync(join(folder, 'log.txt'), '');
    truncateSync(join(folder, 'log.txt'), 2 ** 42);
    await expect(tail(folder, 'log')).rejects.toMatchObject({ code: 'file-too-large' });
  });

  test('each byte of a long line is read once, also across calls, and the line is cut', async () => {
    const folder = runDir('long');
    const file = join(folder, 'log.txt');
    writeFileSync(file, `first\n${'x'.repeat(3 * 2 ** 20)}`);
    const first = await tailFile(folder, 'log.txt', 0);
    expect(first).toMatchObject({ lines: ['first'], next: 1, more: false });
    expect(await tailFile(folder, 'log.txt', 1, first.version)).toMatchObject({ lines: [], next: 1 });
    appendFileSync(file, `${'y'.repeat(2 ** 20)}\nlast\n`);
    const { lines, next } = await tailFile(folder, 'log.txt', 1, first.version);
    expect(lines).toEqual(['x'.repeat(64 * 1024), 'last']);
    expect(next).toBe(3);
    // A reader that starts at the beginning sees the same.
    expect((await tailFile(folder, 'log.txt', 0)).lines).toEqual(['first', 'x'.repeat(64 * 1024), 'last']);
  });
});
