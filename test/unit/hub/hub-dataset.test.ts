/**
 * Tests data sets by name with a local server: parts, the cache without a network, an interrupted transfer, and the messages if there is
 * none.
 */
import { existsSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isDataSetName } from '../../../trainer/files/data-set-name.ts';
import { commitOf, downloadDataSet, findDataSet, openDataSet } from '../../../trainer/hub/hub-dataset.ts';
import { until } from '../../support/machine/until.ts';
import { cutAfter, type Handler, hubError, listen, sendFile, siblingsOf } from './hub-server.ts';
import { temporaryFolder } from './model-bytes.ts';

const COMMIT = 'd'.repeat(40);
const PARQUET = readFileSync(join(import.meta.dirname, '..', 'data', 'fixtures', 'labeled.zstd.parquet'));
const FILES: Readonly<Record<string, Buffer>> = {
  'mails/train/0000.parquet': PARQUET,
  'mails/train/0001.parquet': PARQUET,
  'mails/validation/0000.parquet': PARQUET,
  'large/partial-train/0000.parquet': PARQUET,
  'README.md': Buffer.from('#'),
};

async function hub(intercept: Handler = () => false, files = FILES) {
  const requests: IncomingMessage[] = [];
  const endpoint = await listen((request, response) => {
    requests.push(request);
    if (intercept(request, response)) return;
    const url = request.url ?? '';
    if (/^\/api\/datasets\/org\/mails\/revision\/(refs%2Fconvert%2Fparquet|d{40})/.test(url))
      return void response.end(JSON.stringify({ sha: COMMIT, siblings: siblingsOf(files) }));
    const content = files[url.replace(`/datasets/org/mails/resolve/${COMMIT}/`, '')];
    if (content === undefined) return void response.writeHead(404).end();
    sendFile(request, response, content);
  });
  const cacheDir = temporaryFolder();
  const warnings: string[] = [];
  const options = { cacheDir, endpoint, retryDelayMs: 1, onWarning: (message: string) => void warnings.push(message) };
  return { options, requests, warnings, cacheDir, dir: join(cacheDir, 'datasets', 'org--mails', COMMIT) };
}

const mails = { repo: 'org/mails', config: 'mails', split: 'train' };

test('downloads the files of one split, in order; another start asks only for the listing, and none without a network', async () => {
  const { options, requests, dir, cacheDir } = await hub();
  expect(await findDataSet(cacheDir, mails)).toBeUndefined();
  const progress: number[] = [];
  const paths = await downloadDataSet(mails, { ...options, onProgress: ({ bytes }) => void progress.push(bytes) });
  expect(paths).toEqual(['0000', '0001'].map(name => join(dir, 'mails', 'train', `${name}.parquet`)));
  expect(readFileSync(paths[1] ?? '').equals(PARQUET)).toBe(true);
  expect(progress.at(-1)).toBe(2 * PARQUET.length);
  expect(existsSync(join(dir, 'mails', 'validation'))).toBe(false);
  const before = requests.length;
  expect(await downloadDataSet(mails, options)).toEqual(paths);
  expect(requests.length).toBe(before + 1);
  expect(await downloadDataSet(mails, { ...options, offline: true })).toEqual(paths);
  expect(await findDataSet(cacheDir, mails)).toEqual(paths);
  expect(requests.length).toBe(before + 1);
  const other = await hubError(() => downloadDataSet({ ...mails, split: 'validation' }, { ...options, offline: true }));
  expect([other.failure, other.message]).toEqual(['offline', expect.stringContaining('not in the cache')]);
});

test('a pinned commit is asked for once, and one that the hub does not have is named', async () => {
  const { options, requests, dir, cacheDir } = await hub();
  const pinned = { ...mails, revision: COMMIT };
  const paths = await downloadDataSet(pinned, options);
  expect(requests[0]?.url).toContain(`/revision/${COMMIT}`);
  expect(paths[0]).toBe(join(dir, 'mails', 'train', '0000.parquet'));
  expect(commitOf(paths[0] ?? '')).toBe(COMMIT);
  const before = requests.length;
  expect(await downloadDataSet(pinned, options)).toEqual(paths);
  expect(await findDataSet(cacheDir, pinned)).toEqual(paths);
  expect(requests.length).toBe(before);
  // A damaged listing in the cache is fetched again.
  truncateSync(join(dir, 'listing.json'), 20);
  expect(await downloadDataSet(pinned, options)).toEqual(paths);
  expect(requests.length).toBe(before + 1);
  expect(await findDataSet(cacheDir, pinned)).toEqual(paths);
  // The newest commit is a separate query.
  expect(await findDataSet(cacheDir, mails)).toBeUndefined();
  const gone = await hubError(() => downloadDataSet({ ...mails, revision: 'e'.repeat(40) }, options));
  expect([gone.failure, gone.message]).toEqual(['missing', expect.stringContaining(`no commit ${'e'.repeat(40)}`)]);
});

test('a hub that can not be reached: the copy in the cache is used, which is said', async () => {
  let isDown = false;
  const { options, warnings } = await hub((_, response) => {
    if (isDown) response.destroy();
    return isDown;
  });
  const paths = await downloadDataSet(mails, options);
  isDown = true;
  expect(await downloadDataSet(mails, options)).toEqual(paths);
  expect(warnings.at(-1)).toContain('the copy in the cache is used');
});

test('a transfer that broke off is continued where it ended', async () => {
  let broken = 0;
  const { options, requests, dir } = await hub((request, response) => {
    if (!request.url?.endsWith('train/0001.parquet') || broken++ > 0) return false;
    void cutAfter(response, PARQUET, { bytes: 100, path: join(dir, 'mails', 'train', '0001.parquet') });
    return true;
  });
  await downloadDataSet(mails, options);
  expect(requests.map(({ headers }) => headers.range)).toContain('bytes=100-');
  expect(readFileSync(join(dir, 'mails', 'train', '0001.parquet')).equals(PARQUET)).toBe(true);
  rmSync(dir, { recursive: true });
});

describe('read by ranges', () => {
  async function ranged(intercept?: Handler) {
    const found = await hub(intercept);
    const { ranged: files } = await openDataSet(mails, found.options);
    if (files?.[0] === undefined) throw new Error('the split is in the cache');
    return { ...found, file: files[0], count: files.length };
  }

  test('a range is what the file has there, and the beginning is kept', async () => {
    const { file, count, requests, options } = await ranged();
    expect(count).toBe(2);
    expect(Buffer.from(await file.slice(10, 50)).equals(PARQUET.subarray(10, 50))).toBe(true);
    const kept = await file.keepBeginning(100);
    expect(readFileSync(kept).equals(PARQUET.subarray(0, 100))).toBe(true);
    // Another process has the same file, and downloads what is missing.
    const again = (await openDataSet(mails, options)).ranged?.[0];
    await again?.keepBeginning(60);
    await again?.keepBeginning(150);
    expect(readFileSync(kept).equals(PARQUET.subarray(0, 150))).toBe(true);
    expect(requests.flatMap(({ headers }) => headers.range ?? [])).toEqual(['bytes=10-49', 'bytes=0-99', 'bytes=100-149']);
    expect(await downloadDataSet(mails, options)).toHaveLength(2);
    expect((await openDataSet(mails, options)).cached).toHaveLength(2);
  });

  test('a range that broke off is asked for again', async () => {
    let broken = 0;
    const { file, warnings } = await ranged((request, response) => {
      if (request.headers.range === undefined || broken++ > 0) return false;
      response.writeHead(206, { etag: '"v1"', 'content-range': `bytes 0-99/${PARQUET.length}`, 'content-length': 100 });
      response.write(PARQUET.subarray(0, 10));
      setImmediate(() => response.destroy());
      return true;
    });
    expect(readFileSync(await file.keepBeginning(100)).equals(PARQUET.subarray(0, 100))).toBe(true);
    expect(warnings.join()).toContain('next attempt');
  });

  test('a range without an end is not received', async () => {
    const piece = Buffer.alloc(1 << 20);
    let isOpen = false;
    const { options } = await hub((request, response) => {
      if (request.headers.range === undefined) return false;
      isOpen = true;
      response.once('close', () => {
        isOpen = false;
      });
      response.writeHead(206, { 'content-range': `bytes 0-3/${PARQUET.length}` });
      const send = (): void => void (isOpen && response.write(piece, send));
      send();
      return true;
    });
    const { ranged } = await openDataSet(mails, options);
    const [file] = ranged ?? [];
    expect((await hubError(async () => file?.slice(0, 4))).message).toMatch(/sends more than the 4 bytes of .*0000\.parquet/);
    await until(() => !isOpen, 'the end of the transfer');
  });

  test('a server without ranges is named', async () => {
    const { file } = await ranged((request, response) => {
      if (request.headers.range === undefined) return false;
      response.end(PARQUET);
      return true;
    });
    expect((await hubError(() => file.slice(0, 10))).message).toContain('sends no ranges of mails/train/0000.parquet');
  });
});

describe('what is not there is said with what there is', () => {
  test.each([
    [{ ...mails, config: undefined }, 'set data.config to one of mails, large'],
    [{ ...mails, config: 'letters' }, 'no configuration "letters": set data.config to one of mails, large'],
    [{ ...mails, split: 'test' }, 'no split "test": set data.split (or data.eval_split) to one of train, validation'],
    [{ repo: 'org/none', split: 'train' }, 'the hub has no data set org/none'],
  ])('%j', async (part, message) => {
    const { options } = await hub();
    const error = await hubError(() => downloadDataSet(part, options));
    expect([error.failure, error.message]).toEqual(['missing', expect.stringContaining(message)]);
  });

  test('gated data, and data of which the hub has only the beginning', async () => {
    const gated = await hub((_, response) => {
      response.writeHead(401).end();
      return true;
    });
    expect((await hubError(() => downloadDataSet(mails, gated.options))).message).toContain(
      'accept its terms on its page and set HF_TOKEN',
    );
    const large = await hub();
    expect(await downloadDataSet({ ...mails, config: 'large' }, large.options)).toHaveLength(1);
    expect(large.warnings.join()).toContain('only the beginning');
  });

  test('the only configuration needs no name, nor does one that is called default', async () => {
    const one = await hub(undefined, { 'plain/train/0000.parquet': PARQUET });
    expect(await downloadDataSet({ repo: 'org/mails', split: 'train' }, one.options)).toHaveLength(1);
    const several = await hub(undefined, { 'a/train/0000.parquet': PARQUET, 'default/train/0000.parquet': PARQUET });
    expect((await downloadDataSet({ repo: 'org/mails', split: 'train' }, several.options))[0]).toContain(join('default', 'train'));
  });
});

test('a path is no name: it has an ending, or begins with a folder that exists', () => {
  const here = join(import.meta.dirname, '..');
  expect(isDataSetName('org/mails', here)).toBe(true);
  for (const path of ['org/mails.jsonl', 'mails', './org/mails', '../org/mails', 'hub/mails', 'a/b/c', 'org/..'])
    expect(isDataSetName(path, here)).toBe(false);
});
