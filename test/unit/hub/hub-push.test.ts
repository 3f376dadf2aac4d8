/** Pushes to a local hub: what is sent, what is not sent again, what an interrupted push keeps, and each rejection with its advice. */
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type PushParams, type PushProgress, pushFiles } from '../../../trainer/hub/hub-push.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { UploadJournal } from '../../../trainer/hub/upload-journal.ts';
import { localHub, READ_TOKEN, WRITE_TOKEN } from './hub-repositories.ts';
import { type Handler, hubError } from './hub-server.ts';
import { goldenPath, temporaryFolder } from './model-bytes.ts';

/** Copies the tiny Llama to push it to a separate hub. */
async function pushing(intercept?: Handler) {
  const hub = await localHub(intercept);
  const [dir, cacheDir] = [temporaryFolder(), temporaryFolder()];
  for (const folder of ['llama', 'tiny-tokenizer']) cpSync(goldenPath(folder), dir, { recursive: true });
  const progress: PushProgress[] = [];
  const warnings: string[] = [];
  const push = (changes: Partial<PushParams> = {}) =>
    pushFiles({
      repo: 'ada/tiny',
      files: readdirSync(dir).map(name => ({ name, path: join(dir, name), size: statSync(join(dir, name)).size })),
      token: WRITE_TOKEN,
      cacheDir,
      endpoint: hub.endpoint,
      isPublic: false,
      message: 'Upload',
      isDryRun: false,
      retryDelayMs: 1,
      onProgress: each => void progress.push(each),
      onWarning: text => void warnings.push(text),
      ...changes,
    });
  const sent = (from = 0): string[] => hub.requests.slice(from).filter(line => !line.startsWith('GET'));
  return { hub, dir, cacheDir, push, progress, warnings, sent };
}

const isPart = (url: string | undefined): boolean => url?.includes('/storage/part/') ?? false;

test('a new repository is private, and what comes back from it is what was pushed', async () => {
  const { hub, dir, push, progress } = await pushing();
  const result = await push({ repo: 'tiny' });
  const names = readdirSync(dir).sort();
  expect(result).toMatchObject({ repo: 'ada/tiny', url: `${hub.endpoint}/ada/tiny`, visibility: 'private', isNew: true, unchanged: [] });
  expect(result.uploaded.map(({ name }) => name).sort()).toEqual(names);
  expect(hub.repositories.get('ada/tiny')).toMatchObject({ private: true, commits: [expect.any(String), result.commit] });
  expect(hub.requests.filter(line => isPart(line)).length).toBeGreaterThan(2);
  const total = result.uploaded.reduce((sum, { size }) => sum + size, 0);
  expect(progress.at(-1)).toEqual({ phase: 'upload', bytes: total, totalBytes: total });

  const options = { cacheDir: temporaryFolder(), endpoint: hub.endpoint, token: WRITE_TOKEN };
  const [pushed, own] = [await openModel('ada/tiny', options), await openModel(dir)];
  expect(await pushed.weights.fingerprint()).toBe(await own.weights.fingerprint());
  expect((await pushed.loadTokenizer()).encode('a b', { addSpecialTokens: true })).toEqual(
    (await own.loadTokenizer()).encode('a b', { addSpecialTokens: true }),
  );
  await pushed.weights.close();
  await own.weights.close();
});

test('what the hub has already is not sent again', async () => {
  const { hub, dir, push, sent } = await pushing();
  const first = await push();
  const before = hub.requests.length;
  const second = await push();
  expect([second.uploaded, second.isNew, second.commit, sent(before)]).toEqual([[], false, first.commit, []]);
  expect(second.unchanged.length).toBe(first.uploaded.length);
  appendFileSync(join(dir, 'config.json'), '\n');
  const third = await push();
  expect(third.uploaded.map(({ name }) => name)).toEqual(['config.json']);
  expect(sent(before).filter(line => line.includes('/storage/'))).toEqual([]);
  expect(hub.repositories.get('ada/tiny')?.commits).toEqual([expect.any(String), first.commit, third.commit]);
});

test('a dry run says what a push does, and does nothing', async () => {
  const { hub, push, sent } = await pushing();
  const planned = await push({ isDryRun: true });
  expect([sent(), hub.repositories.size, planned.commit]).toEqual([[], 0, undefined]);
  const { commit: _commit, ...made } = await push();
  expect(made).toEqual({ ...planned });
});

test('a part that fails is sent again', async () => {
  let failures = 0;
  const { push, progress, warnings } = await pushing((request, response) => {
    if (!isPart(request.url) || failures++ >= 2) return false;
    if (failures === 1) response.writeHead(503).end();
    else request.destroy();
    return true;
  });
  await push();
  expect(warnings).toHaveLength(2);
  expect(warnings.join()).toMatch(/answers 503 .*next attempt/);
  expect(progress.every(({ bytes, totalBytes }) => bytes >= 0 && bytes <= totalBytes)).toBe(true);
});

test('a push that broke off keeps what was uploaded whole, and the next one continues there', async () => {
  let isDown = true;
  const { hub, dir, push, sent } = await pushing((request, response) => {
    const fails = isDown && /\/commit\/main$/.test(request.url ?? '');
    if (fails) response.destroy();
    return fails;
  });
  cpSync(join(dir, 'model.safetensors'), join(dir, 'other.safetensors'));
  appendFileSync(join(dir, 'other.safetensors'), 'x');
  const error = await hubError(() => push());
  expect([error.failure, error.message]).toEqual(['interrupted', expect.stringContaining('the same command continues there')]);
  isDown = false;
  const before = hub.requests.length;
  const result = await push();
  expect([result.isNew, result.uploaded.length]).toEqual([false, readdirSync(dir).length]);
  expect(sent(before).filter(line => line.includes('/storage/'))).toEqual([]);
});

describe('a large file that broke off', () => {
  /** A hub whose storage accepts a few parts, after which the network is gone. */
  async function broken(onRequest: Handler = () => false) {
    let left = 2;
    const found = await pushing((request, response) => {
      if (onRequest(request, response)) return true;
      if (!isPart(request.url) || left-- > 0) return false;
      request.destroy();
      return true;
    });
    const error = await hubError(() => found.push());
    expect([error.failure, error.message]).toEqual(['interrupted', expect.stringContaining('what was uploaded is kept')]);
    left = Number.POSITIVE_INFINITY;
    const partsFrom = (at: number): string[] => found.hub.requests.slice(at).filter(line => isPart(line));
    const [file = ''] = readdirSync(join(found.cacheDir, 'pushes'));
    return { ...found, partsFrom, journal: join(found.cacheDir, 'pushes', file) };
  }

  test('continues with the parts that the storage lacks, and is complete then', async () => {
    const { hub, push, partsFrom, journal, progress } = await broken();
    const stored = linesOf(journal).flatMap(line => line.part ?? []);
    expect(stored).toHaveLength(2);
    if (process.platform !== 'win32') expect(statSync(journal).mode & 0o077).toBe(0);
    const before = hub.requests.length;
    const { uploaded } = await push();
    const again = partsFrom(before);
    expect(again.length).toBeGreaterThan(0);
    for (const url of stored) expect(again).not.toContain(`PUT ${new URL(url).pathname}`);
    expect(new Set(again.map(line => line.split('/').at(-2))).size).toBe(1);
    const total = uploaded.reduce((sum, { size }) => sum + size, 0);
    expect(progress.at(-1)).toEqual({ phase: 'upload', bytes: total, totalBytes: total });
    expect(existsSync(journal)).toBe(false);
  });

  test('starts over where the storage has given up the earlier upload', async () => {
    let isGone = false;
    const { push, warnings, hub } = await broken((request, response) => {
      const isRefused = isGone && (request.url?.includes('_0/') ?? false);
      if (isRefused) response.writeHead(404).end('NoSuchUpload');
      return isRefused;
    });
    isGone = true;
    await push();
    expect(warnings.join('\n')).toMatch(/no longer has an upload.*starts over/);
    expect(hub.repositories.get('ada/tiny')?.commits).toHaveLength(2);
  });

  test('starts over where the journal is damaged, or its addresses have ended', async () => {
    for (const damage of [() => '{\nnull\n[]', (text: string) => text.replaceAll(/"begunMs":\d+/g, '"begunMs":0')]) {
      const { hub, push, partsFrom, journal } = await broken();
      writeFileSync(journal, damage(readFileSync(journal, 'utf8')));
      const before = hub.requests.length;
      await push();
      // A request of the first push may arrive late.
      const sent = new Set(partsFrom(before).filter(line => !line.includes('_0/')));
      expect(sent.size).toBe(Math.max(...[...sent].map(line => Number(line.split('/').at(-1)))));
    }
  });
});

describe('the journal of an upload', () => {
  const action = (id: string) => ({
    href: `https://hub.test/complete/${id}`,
    header: { chunk_size: '10', ...Object.fromEntries(['1', '2', '3'].map(name => [name, `https://storage.test/${id}/${name}`])) },
  });
  const part = (id: string, number: number): string => `https://storage.test/${id}/${number}`;
  async function opened(cacheDir = temporaryFolder()) {
    const journal = await UploadJournal.open(cacheDir, 'org/name');
    const [name = ''] = readdirSync(join(cacheDir, 'pushes'));
    return { cacheDir, journal, file: join(cacheDir, 'pushes', name) };
  }

  test('each part adds its own line, and nothing is written again', async () => {
    const { journal, file } = await opened();
    await journal.actionFor('a', 10, action('a'));
    const sizes = [statSync(file).size];
    for (const number of [1, 2, 3]) {
      await journal.partDone(part('a', number), `etag${number}`);
      sizes.push(statSync(file).size);
    }
    const added = sizes.slice(1).map((size, i) => size - (sizes[i] ?? 0));
    expect(new Set(added).size).toBe(1);
    expect(added[0]).toBeLessThan(100);
    await journal.partDone('https://elsewhere.test', 'x');
    expect(statSync(file).size).toBe(sizes.at(-1));
  });

  test('whatever part of the last line was written, the lines before it count, and further ones', async () => {
    const { cacheDir, journal, file } = await opened();
    await journal.actionFor('a', 10, action('a'));
    await journal.partDone(part('a', 1), 'one');
    const whole = readFileSync(file);
    await journal.partDone(part('a', 2), 'two');
    const longer = readFileSync(file);
    for (let bytes = whole.length; bytes <= longer.length; bytes++) {
      writeFileSync(file, longer.subarray(0, bytes));
      const again = await opened(cacheDir);
      expect(again.journal.etagOf(part('a', 1))).toBe('one');
      // A line without its end is complete, too.
      expect(again.journal.etagOf(part('a', 2))).toBe(bytes >= longer.length - 1 ? 'two' : undefined);
      expect(await again.journal.actionFor('a', 10, action('b'))).toEqual(action('a'));
      await again.journal.partDone(part('a', 3), 'three');
      expect((await opened(cacheDir)).journal.etagOf(part('a', 3))).toBe('three');
    }
  });

  test('an upload that is over is forgotten, and its lines with the next push', async () => {
    const { cacheDir, journal, file } = await opened();
    await journal.actionFor('a', 10, action('a'));
    await journal.partDone(part('a', 1), 'one');
    await journal.actionFor('b', 10, action('b'));
    await journal.complete(action('a').href);
    expect(journal.etagOf(part('a', 1))).toBeUndefined();
    const again = await opened(cacheDir);
    expect(again.journal.etagOf(part('a', 1))).toBeUndefined();
    expect(linesOf(file).map(line => line.begin)).toEqual(['b']);
  });
});

const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => z.looseObject({ part: z.string().optional(), begin: z.string().optional() }).parse(JSON.parse(line)));

describe('refusals', () => {
  test.each([
    ['a token that is not one', { token: 'secret' }, 'gated', /does not begin with hf_/],
    ['a token that the hub does not know', { token: 'hf_old' }, 'gated', /\(401\): the token is not valid.*Invalid username/],
    ['a token that can only read', { token: READ_TOKEN }, 'gated', /the token "laptop" can only read/],
    ['the name of someone else', { repo: 'eve/tiny' }, 'gated', /\(403\): the token may not write there.*namespace "eve"/],
    ['a name that is none', { repo: 'a/b/c' }, 'missing', /organization\/name/],
    ['a hub that is not there', { endpoint: 'http://127.0.0.1:9' }, 'interrupted', /cannot be reached/],
  ] as const)('%s', async (_, changes, failure, message) => {
    const { push, hub } = await pushing();
    const error = await hubError(() => push(changes));
    expect([error.failure, error.message]).toEqual([failure, expect.stringMatching(message)]);
    expect(hub.repositories.size).toBe(0);
  });

  test('a public repository is not written to unless that is confirmed', async () => {
    const { push, hub, sent } = await pushing();
    expect((await push({ isPublic: true })).visibility).toBe('public');
    const before = hub.requests.length;
    expect((await hubError(() => push())).message).toMatch(/ada\/tiny is public.*--public/);
    expect(sent(before)).toEqual([]);
    expect((await push({ isPublic: true })).visibility).toBe('public');
  });

  test('a repository that changes meanwhile', async () => {
    let change: (() => void) | undefined;
    const { push, hub, dir } = await pushing(request => {
      if (request.url?.includes('/preupload/')) change?.();
      return false;
    });
    await push();
    appendFileSync(join(dir, 'config.json'), '\n');
    change = () => void hub.repositories.get('ada/tiny')?.commits.push('e'.repeat(40));
    const error = await hubError(() => push());
    expect(error.message).toMatch(/\(412\): someone else changed the repository meanwhile/);
  });
});
