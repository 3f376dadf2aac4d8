/** Tests data sets on the hub: the samples and columns of whole files, from a part of their bytes, without repeated requests. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path, { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { drawStream } from '../../../trainer/data/draw.ts';
import { listDataFiles } from '../../../trainer/data/read/list-files.ts';
import { readRecords } from '../../../trainer/data/read/read-records.ts';
import { Job } from '../../../trainer/job/job.ts';
import { withDataFiles } from '../../../trainer/job/open-data.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { jobContext, resolveSettings } from '../../../trainer/settings.ts';
import { parquetFile } from '../../support/files/parquet-file.ts';
import { makeTemporaryFolder, removeTemporaryFolders } from '../../support/machine/temporary-folder.ts';
import { type Handler, listen, sendFile, siblingsOf } from '../hub/hub-server.ts';

afterAll(removeTemporaryFolders);

const settingsOf = resolveSettings({ env: {}, platform: 'linux', home: '/nowhere' });
const COMMIT = 'c'.repeat(40);
const NOTES = readFileSync(join(import.meta.dirname, '..', 'data', 'fixtures', 'groups.parquet'));
const FILES: Readonly<Record<string, Buffer>> = { 'default/train/0000.parquet': NOTES, 'default/train/0001.parquet': NOTES };

async function notes(intercept: Handler = () => false, content: Buffer = NOTES) {
  let sent = 0;
  const files = Object.fromEntries(Object.keys(FILES).map(name => [name, content]));
  const endpoint = await listen((request, response) => {
    if (intercept(request, response)) return;
    if (request.url?.startsWith('/api/datasets/org/'))
      return void response.end(JSON.stringify({ sha: COMMIT, siblings: siblingsOf(files) }));
    sent += sendFile(request, response, content);
  });
  const baseDir = makeTemporaryFolder();
  const cacheDir = makeTemporaryFolder();
  const lines: string[] = [];
  const recipeOf = async (settings: readonly string[], offline = false): Promise<Recipe> => {
    const { recipe } = parseRecipe('', { overrides: ['model=m', 'data.train=org/notes', 'data.format=text', 'seed=3', ...settings] });
    if (!recipe) throw new Error('no recipe');
    const context = { ...jobContext(settingsOf, baseDir), cacheDir, hub: { endpoint, offline } };
    const job = new Job(event => event.type === 'log' && lines.push(event.message));
    return (await withDataFiles({ job, context, recipe })).recipe;
  };
  const filesOf = async (...params: Parameters<typeof recipeOf>): Promise<readonly string[]> => (await recipeOf(...params)).data.train;
  return {
    recipeOf,
    filesOf,
    lines,
    cacheDir,
    folder: join(cacheDir, 'datasets', 'org--notes', COMMIT, 'default', 'train'),
    sent: () => sent,
  };
}

/** Returns the samples that training draws from local files. */
async function drawnOf(paths: readonly string[], count: number): Promise<readonly unknown[]> {
  const drawn: unknown[] = [];
  const records = readRecords({ files: await listDataFiles(paths), textSplit: 'file' });
  for await (const { value } of drawStream(records, { count, seed: 3 })) drawn.push(value);
  return drawn;
}

test('the samples are those of the whole files, and later runs ask for none', async () => {
  const { filesOf, lines, sent, cacheDir } = await notes();
  const local = makeTemporaryFolder();
  for (const name of Object.keys(FILES)) {
    mkdirSync(join(local, name, '..'), { recursive: true });
    writeFileSync(join(local, name), NOTES);
  }
  const whole = Object.keys(FILES).map(name => join(local, name));
  const [file = '', ...others] = await filesOf(['data.max_samples=5']);
  expect([/drawn-5-3-[0-9a-f]{12}\.jsonl$/.test(file), others]).toEqual([true, []]);
  expect(sent()).toBeLessThan(NOTES.length);
  expect(await drawnOf(whole, 5)).toMatchObject(await drawnOf([file], 5));
  expect(lines.at(-1)).toMatch(/org\/notes \(train\): 5 samples, drawn by the seed 3 of 120 of commit c+$/);
  const before = sent();
  expect(await filesOf(['data.max_samples=5'])).toEqual([file]);
  expect(await filesOf(['data.max_samples=5'], true)).toEqual([file]);
  expect(sent()).toBe(before);
  await expect(filesOf(['data.max_samples=6'], true)).rejects.toThrow(/not in the cache/);
  expect(existsSync(join(cacheDir, 'datasets', 'org--notes', COMMIT, 'default', 'train', '0000.parquet'))).toBe(false);
});

test('the names of classes are those of the metadata, and a draw needs no other rows', async () => {
  const content = readFileSync(join(import.meta.dirname, '..', 'data', 'fixtures', 'class-names', 'notes.parquet'));
  const { recipeOf, lines, sent } = await notes(undefined, content);
  const settings = ['task=sequence_classification', 'data.format=auto', 'data.max_samples=4'];
  for (const given of [settings, [...settings, 'val_size=0']]) {
    const { labels, train } = (await recipeOf(given)).data;
    expect([labels, path.basename(train[0] ?? '')]).toEqual([['neg', 'pos'], expect.stringMatching(/^drawn-4-3-/)]);
  }
  // Two files have this content.
  expect(sent()).toBeLessThan(2 * content.length);
  expect(lines.at(-1)).toMatch(/^labels: neg, pos, the names of the classes in the column "label"/);
  const whole = await recipeOf(settings.slice(0, 2));
  expect(whole.data.labels).toEqual(['neg', 'pos']);
  expect((await recipeOf([...settings, 'data.labels=[a, b]'])).data.labels).toEqual(['a', 'b']);
});

describe('a draw over several data sets', () => {
  const both = ['data.train=[org/notes, org/more]', 'data.max_samples=5'];
  const whole = (folder: string) =>
    ['first', 'second'].flatMap(set =>
      Object.keys(FILES).map(name => {
        mkdirSync(join(folder, set, name, '..'), { recursive: true });
        writeFileSync(join(folder, set, name), NOTES);
        return join(folder, set, name);
      }),
    );

  test('the samples are those of the whole files, and later runs ask for none', async () => {
    const { filesOf, lines, sent } = await notes();
    const files = await filesOf(both);
    expect(files.map(file => /(notes|more).*drawn-5-3-(0|120)-240-[0-9a-f]{12}\.jsonl$/.exec(file)?.slice(1))).toEqual([
      ['notes', '0'],
      ['more', '120'],
    ]);
    const drawn = await drawnOf(files, 5);
    expect(drawn).toHaveLength(5);
    expect(await drawnOf(whole(makeTemporaryFolder()), 5)).toMatchObject(drawn);
    expect(sent()).toBeLessThan(NOTES.length);
    expect(lines.filter(line => line.includes('drawn by the seed')).map(line => line.replace(/ of commit c+$/, ''))).toEqual([
      expect.stringMatching(/^org\/notes \(train\): \d samples?, drawn by the seed 3 of 120$/),
      expect.stringMatching(/^org\/more \(train\): \d samples?, drawn by the seed 3 of 120$/),
    ]);
    const before = sent();
    expect(await filesOf(both)).toEqual(files);
    expect(await filesOf(both, true)).toEqual(files);
    expect(sent()).toBe(before);
  });

  test('nothing is fetched of a data set that the cache has whole', async () => {
    const { filesOf, sent } = await notes();
    await filesOf(['data.train=org/more']);
    const before = sent();
    const files = await filesOf(both);
    const other = await notes();
    expect(await drawnOf(files, 5)).toEqual(await drawnOf(await other.filesOf(both), 5));
    expect(sent() - before).toBeLessThan(other.sent());
  });

  test('all rows are fetched where a local file is among them', async () => {
    const { filesOf } = await notes();
    const [local = ''] = whole(makeTemporaryFolder());
    const files = await filesOf([`data.train=[org/notes, "${local}"]`, 'data.max_samples=5']);
    expect(files.map(file => path.basename(file))).toEqual(['0000.parquet', '0001.parquet', '0000.parquet']);
  });

  test('a missing data set is named, with the places where local files would be', async () => {
    const { filesOf } = await notes((request, response) => {
      if (request.url?.startsWith('/api/datasets/org/more/') !== true) return false;
      response.writeHead(404).end();
      return true;
    });
    await expect(filesOf(both)).rejects.toThrow(/org\/more.*\(.*notes and .*more do not exist either\)/);
  });
});

test('a fetch that broke off continues with the groups that are missing', async () => {
  let left = Number.POSITIVE_INFINITY;
  const { filesOf, folder, sent } = await notes((request, response) => {
    if (request.headers.range === undefined || left-- > 0) return false;
    response.writeHead(404).end();
    return true;
  });
  const [whole = ''] = await filesOf(['data.max_samples=8']);
  const content = readFileSync(whole, 'utf8');
  const all = sent();
  left = 6;
  const other = await notes((request, response) => {
    if (request.headers.range === undefined || left-- > 0) return false;
    response.writeHead(404).end();
    return true;
  });
  await expect(other.filesOf(['data.max_samples=8'])).rejects.toThrow();
  const partial = join(other.folder, readdirSync(other.folder).find(name => name.endsWith('.partial.jsonl')) ?? '');
  const lines = readFileSync(partial, 'utf8').split('\n').length - 1;
  expect(lines).toBeGreaterThan(0);
  // The process ended in the middle of a line.
  writeFileSync(partial, content.slice(0, content.split('\n').slice(0, lines).join('\n').length + 20));
  left = Number.POSITIVE_INFINITY;
  const before = other.sent();
  const [file = ''] = await other.filesOf(['data.max_samples=8']);
  expect(readFileSync(file, 'utf8')).toBe(content);
  expect(other.sent() - before).toBeLessThan(all);
  expect(readdirSync(folder).filter(name => name.includes('partial'))).toEqual([]);
});

test.each([
  ['most of the rows are needed', ['data.max_samples=60']],
  ['the draw takes all', ['data.max_samples=500']],
  ['nothing is drawn', []],
  ['all labels count', ['data.format=auto', 'data.max_samples=5']],
])('all rows are fetched where %s', async (_, settings) => {
  const { filesOf } = await notes();
  expect((await filesOf(settings)).map(file => path.basename(file).slice(0, 4))).toEqual(['0000', '0001']);
});

test('labels that the recipe names need no other samples', async () => {
  const { filesOf } = await notes();
  expect(await filesOf(['data.format=auto', 'data.labels=[ham, spam]', 'data.max_samples=5'])).toEqual([
    expect.stringContaining('drawn-5-3'),
  ]);
});

const column = (length: number) => Array.from({ length: 60 }, (_, i) => `${i} ${'x'.repeat(length)}`);
const WIDE = parquetFile({ text: column(100), picture: column(30_000), note: column(200) }, 5);
const valuesOf = async (paths: readonly string[]) => {
  const values: unknown[] = [];
  for await (const { value } of readRecords({ files: await listDataFiles(paths), textSplit: 'file' })) values.push(value);
  return values;
};

describe('columns', () => {
  const expected = (...names: ('text' | 'note')[]) =>
    Array.from({ length: 120 }, (_, i) => Object.fromEntries(names.map(name => [name, column(name === 'text' ? 100 : 200)[i % 60]])));

  test('only those that the recipe reads are fetched, and later runs ask for none', async () => {
    const { filesOf, sent, lines, folder } = await notes(undefined, WIDE);
    const files = await filesOf([]);
    // The columns, and the metadata.
    expect(sent()).toBeLessThan(2 * (60 * 110 + 2 * 2 ** 13));
    expect(await valuesOf(files)).toEqual(expected('text'));
    expect(lines.at(-1)).toMatch(/org\/notes \(train\): 2 files with 1 column of 3 \(.* of .*\) of commit c+$/);
    const before = sent();
    expect(await filesOf([])).toEqual(files);
    expect(await filesOf([], true)).toEqual(files);
    expect(sent()).toBe(before);
    await expect(filesOf(['data.columns={text: note}'], true)).rejects.toThrow(/not in the cache/);
    expect(readdirSync(folder).filter(name => name === '0000.parquet')).toEqual([]);
  });

  test('a run that needs another column fetches that one', async () => {
    const { filesOf, sent } = await notes(undefined, WIDE);
    await filesOf([]);
    const before = sent();
    const other = ['data.format=prompt_completion', 'data.columns={prompt: text, completion: note}'];
    expect(await valuesOf(await filesOf(other))).toEqual(expected('text', 'note'));
    const bytes = sent() - before;
    expect(bytes).toBeGreaterThan(2 * 60 * 200);
    expect(bytes).toBeLessThan(2 * 60 * 220);
  });

  test('whole files are fetched from a server without ranges, which is said, and where nearly all columns are read', async () => {
    const { filesOf, lines } = await notes((request, response) => {
      if (request.headers.range === undefined) return false;
      response.end(WIDE);
      return true;
    }, WIDE);
    expect((await filesOf([])).map(file => path.basename(file))).toEqual(['0000.parquet', '0001.parquet']);
    expect(lines.join()).toContain('sends no ranges of default/train/0000.parquet: whole files are downloaded');
    const narrow = await notes(undefined, parquetFile({ text: column(100), id: column(1) }, 5));
    expect((await narrow.filesOf([])).map(file => path.basename(file))).toEqual(['0000.parquet', '0001.parquet']);
  });

  test('a column that the data lacks is an error before anything is fetched', async () => {
    const { filesOf, sent } = await notes(undefined, WIDE);
    await expect(filesOf(['data.columns={text: txt}'])).rejects.toThrow(/no such column; did you mean "text"/);
    expect(sent()).toBeLessThan(2 * 2 ** 13 + 1);
  });
});

test('another column of the same draw is fetched alone', async () => {
  const { filesOf, sent } = await notes(undefined, WIDE);
  const [first = ''] = await filesOf(['data.max_samples=4']);
  const fresh = sent();
  const other = ['data.max_samples=4', 'data.format=prompt_completion', 'data.columns={prompt: text, completion: note}'];
  const [second = ''] = await filesOf(other);
  const both = await notes(undefined, WIDE);
  expect(readFileSync((await both.filesOf(other))[0] ?? '', 'utf8')).toBe(readFileSync(second, 'utf8'));
  expect(sent() - fresh).toBeLessThan(both.sent() - 2 * 2 ** 13);
  expect(await valuesOf([second])).toMatchObject(await valuesOf([first]));
});
