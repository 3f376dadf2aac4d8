/** Tests files that are not regular: pipes, devices, folders and endless files are refused by name, and nothing blocks. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { readRecipeText } from '../../../trainer/cli/read-recipe.ts';
import { readRecords } from '../../../trainer/data/read/read-records.ts';
import { openRegularFile, ReadRefusedError, readRegularFile, readRegularText } from '../../../trainer/files/regular-file.ts';
import { openByteFile } from '../../../trainer/format/byte-file.ts';
import { readConfigFile } from '../../../trainer/format/model-config.ts';
import { readTexts } from '../../../trainer/format/tokenizer/tokenizer-files.ts';
import type { DataExtension } from '../../../trainer/protocol/data-extensions.ts';
import { readMetrics } from '../../../trainer/run/metrics-file.ts';
import { readRunRecipe } from '../../../trainer/run/run-folder.ts';
import { readGolden } from '../../../trainer/verify/golden.ts';

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'regular-'));
  writeFileSync(at('plain'), 'ä plain file');
  writeFileSync(at('empty'), '');
  symlinkSync(at('plain'), at('link'));
  writeFileSync(at('vast'), '');
  truncateSync(at('vast'), 2 ** 40);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const refusal = (path: string, code: string, text: RegExp) => async () => {
  const error: unknown = await readRegularFile(path, 100).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ReadRefusedError);
  expect(error).toMatchObject({ code, path, message: expect.stringMatching(text) });
};

describe('regular files', () => {
  test('a file, a link to one, and an empty one are read whole', async () => {
    expect(await readRegularText(at('plain'), 100)).toBe('ä plain file');
    expect(await readRegularText(at('link'), 100)).toBe('ä plain file');
    expect(await readRegularText(at('empty'), 0)).toBe('');
  });

  test('exactly as many bytes as allowed pass; one more does not', async () => {
    expect((await readRegularFile(at('plain'), 13)).length).toBe(13);
    await expect(readRegularFile(at('plain'), 12)).rejects.toMatchObject({ code: 'file-too-large' });
  });

  test('a missing file gives the error of the system', async () => {
    await expect(readRegularFile(at('missing'), 1)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('an open file comes with its size', async () => {
    const { handle, stats } = await openRegularFile(at('plain'));
    expect(stats.size).toBe(13);
    await handle.close();
  });

  test('a folder is refused', async () => refusal(folder, 'not-regular-file', /is a folder, not a regular file/)());
  test('a file larger than allowed is refused by its size', async () => refusal(at('vast'), 'file-too-large', /has 1099511627776 bytes/)());
});

describe.skipIf(process.platform === 'win32')('what only Unix has', () => {
  test('a named pipe is refused, with and without a link', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    symlinkSync(at('pipe'), at('pipe-link'));
    await refusal(at('pipe'), 'not-regular-file', /is a named pipe/)();
    await refusal(at('pipe-link'), 'not-regular-file', /is a named pipe/)();
  });

  test('an endless device is refused', async () => {
    symlinkSync('/dev/zero', at('zero'));
    await refusal(at('zero'), 'not-regular-file', /is a device/)();
  });

  test('a socket is refused', async () => {
    const server = createServer();
    await new Promise<void>(resolve => server.listen(at('socket'), resolve));
    await refusal(at('socket'), 'not-regular-file', /is a socket/)();
    await new Promise(resolve => server.close(resolve));
  });
});

test.skipIf(process.platform !== 'linux')(
  'a file of /proc, which reports no size, is read to its end and no further than allowed',
  async () => {
    expect(await readRegularText('/proc/self/status', 2 ** 20)).toContain('VmRSS');
    await refusal('/proc/self/smaps', 'file-too-large', /has more than the 100 bytes allowed/)();
  },
);

/** Gives each reader of another room a pipe instead of its file; it must refuse it by name, and at once. */
describe.skipIf(process.platform === 'win32')('readers of other rooms refuse a pipe', () => {
  const pipe = (name: string): string => {
    const path = join(mkdtempSync(join(folder, 'reader-')), name);
    execFileSync('mkfifo', [path]);
    return path;
  };
  const readers: readonly [name: string, file: string, read: (path: string) => Promise<unknown>][] = [
    ['a config', 'config.json', path => readConfigFile(path)],
    ['weights', 'model.safetensors', path => openByteFile(path)],
    ['a tokenizer', 'tokenizer.json', path => readTexts(dirname(path))],
    ['data as lines', 'a.jsonl', path => all(readRecords({ files: [dataFile(path, '.jsonl')], textSplit: 'file' }))],
    ['data as JSON', 'a.json', path => all(readRecords({ files: [dataFile(path, '.json')], textSplit: 'file' }))],
    ['data as Parquet', 'a.parquet', path => all(readRecords({ files: [dataFile(path, '.parquet')], textSplit: 'file' }))],
    ['metrics', 'metrics.jsonl', path => readMetrics(dirname(path))],
    ['the recipe of a run', 'recipe.yaml', path => readRunRecipe(dirname(path))],
    ['an adapter', 'adapter.json', path => readAdapter(dirname(path))],
    ['a recipe', 'a.yaml', path => readRecipeText(path, '.')],
    ['reference numbers', 'golden.json', path => readGolden(path)],
  ];
  test.each(readers)('%s', async (_, file, read) => {
    await expect(read(pipe(file))).rejects.toThrow(/pipe|neither/);
  });
});

const dataFile = (file: string, extension: DataExtension) => ({ file, extension, bytes: 0 });

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test('a recipe in UTF-16 is refused as such', async () => {
  const file = at('utf16.rowtune.yaml');
  writeFileSync(file, Buffer.from('\ufeffmodel: m\n', 'utf16le'));
  await expect(readRecipeText(file, '.')).rejects.toThrow('is UTF-16 or binary, expected UTF-8 text');
});
