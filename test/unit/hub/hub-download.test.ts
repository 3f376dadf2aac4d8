/** Tests downloads from a real local server: resume, verification, redirects, the token, the cache, and each failure with its advice. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSentenceModules } from '../../../trainer/format/sentence-modules.ts';
import { type DownloadOptions, downloadModel } from '../../../trainer/hub/hub-download.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { claimName } from '../../../trainer/machine/process-lock.ts';
import { isHubName } from '../../../trainer/protocol/hub-name.ts';
import { cutAfter, type Handler, hubError, listen, sendFile, siblingsOf } from './hub-server.ts';
import { goldenPath, temporaryFolder } from './model-bytes.ts';

const COMMIT = 'c'.repeat(40);
const WEIGHTS = readFileSync(goldenPath('llama/model.safetensors'));
const CONFIG = readFileSync(goldenPath('llama/config.json'));
const FILES: Readonly<Record<string, Buffer>> = {
  'model.safetensors': WEIGHTS,
  'config.json': CONFIG,
  'pytorch_model.bin': Buffer.from('never asked for'),
  'README.md': Buffer.from('#'),
};

const listing = (files = FILES) => ({ sha: COMMIT, siblings: siblingsOf(files) });

/** A hub with the files of one repository; `intercept` answers first if it returns true. */
async function hub(intercept: Handler = () => false, files = FILES) {
  const requests: IncomingMessage[] = [];
  const endpoint = await listen((request, response) => {
    requests.push(request);
    if (intercept(request, response)) return;
    const url = request.url ?? '';
    if (url.startsWith('/api/models/org/model/revision/main')) return void response.end(JSON.stringify(listing(files)));
    const content = files[url.split('?')[0]?.split(`/${COMMIT}/`)[1] ?? ''];
    if (!url.startsWith(`/org/model/resolve/${COMMIT}/`) || content === undefined) return void response.writeHead(404).end();
    sendFile(request, response, content);
  });
  const cacheDir = temporaryFolder();
  const warnings: string[] = [];
  const options: DownloadOptions = { cacheDir, endpoint, retryDelayMs: 1, onWarning: message => warnings.push(message) };
  const paths = () =>
    requests.map(request => `${request.url?.split('?')[0]?.split('/').at(-1)}${request.headers.range ? ` ${request.headers.range}` : ''}`);
  return { endpoint, cacheDir, options, warnings, requests, paths, dir: join(cacheDir, 'models', 'org--model', COMMIT) };
}

const isWeights = (request: IncomingMessage): boolean => request.url?.endsWith('model.safetensors') ?? false;

test('opens a model by its name, with what it needs and nothing else; the second time only the listing is asked for', async () => {
  const { options, requests, paths, dir } = await hub();
  const progress: number[] = [];
  const model = await openModel('org/model', { ...options, onProgress: p => progress.push(p.bytes) });
  expect(model.dir).toBe(dir);
  expect((await model.weights.readFloat32('lm_head.weight')).length).toBe(128 * 64);
  await model.weights.close();
  expect(readdirSync(dir).sort()).toEqual(['.complete', 'config.json', 'model.safetensors']);
  expect(progress.at(-1)).toBe(WEIGHTS.length + CONFIG.length);
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
  const before = requests.length;
  await downloadModel('org/model', options);
  expect(paths().slice(before)).toEqual(['main']);
});

test('a model as it was published before safetensors and tokenizer.json', async () => {
  const files = (folder: string) =>
    Object.fromEntries(readdirSync(goldenPath(folder)).map(name => [name, readFileSync(goldenPath(`${folder}/${name}`))]));
  const one = await hub(undefined, files('deberta_torch'));
  const deberta = await openModel('org/model', one.options);
  expect(readdirSync(one.dir).sort()).toEqual(['.complete', 'config.json', 'pytorch_model.bin', 'spm.model', 'tokenizer_config.json']);
  expect((await deberta.loadTokenizer()).encode('the river rose', { addSpecialTokens: true })[0]).toBe(1);
  await deberta.weights.close();
  const both = await hub(undefined, { ...files('llama_torch'), 'tokenizer.json': Buffer.from('{}') });
  await (await openModel('org/model', both.options)).weights.close();
  expect(
    readdirSync(both.dir)
      .filter(name => !name.endsWith('.json'))
      .sort(),
  ).toEqual(['.complete', 'pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin']);
});

test('the modules of sentence-transformers come along, that of a folder too', async () => {
  const text = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const layer = { in_features: 8, out_features: 4, bias: false, activation_function: 'torch.nn.modules.linear.Identity' };
  const pooling = {
    '1_Pooling/config.json': text({ pooling_mode_cls_token: true }),
    '2_Dense/config.json': text(layer),
    'onnx/config.json': text({}),
  };
  const module = (path: string, kind: string) => ({ idx: 0, name: '0', path, type: `sentence_transformers.models.${kind}` });
  const modules = Buffer.from(JSON.stringify([module('', 'Transformer'), module('1_Pooling', 'Pooling'), module('2_Dense', 'Dense')]));
  const { options, dir } = await hub(() => false, { ...FILES, ...pooling, 'modules.json': modules });
  await downloadModel('org/model', options);
  expect(await readSentenceModules(dir)).toEqual({
    mode: 'cls',
    dense: [{ at: '2_Dense', width: 8, out: 4, biased: false }],
    normalize: false,
  });
  expect(existsSync(join(dir, 'onnx'))).toBe(false);
});

describe('resume', () => {
  test('a connection that breaks in mid-file is continued there', async () => {
    let broken = 0;
    const { options, paths, warnings, dir } = await hub((request, response) => {
      if (!isWeights(request) || broken++ > 0) return false;
      void cutAfter(response, WEIGHTS, { bytes: 100_000, path: join(dir, 'model.safetensors') });
      return true;
    });
    await downloadModel('org/model', options);
    expect(paths().filter(path => path.startsWith('model.s'))).toEqual(['model.safetensors', 'model.safetensors bytes=100000-']);
    expect(warnings.join()).toContain('next attempt');
    expect(readFileSync(join(dir, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
  });

  test('continues the download of an earlier process, and reports what it kept', async () => {
    let down = true;
    const { options, paths, dir } = await hub((request, response) => {
      if (!isWeights(request) || !down) return false;
      if (request.headers.range === undefined) void cutAfter(response, WEIGHTS, { bytes: 50_000, path: join(dir, 'model.safetensors') });
      else response.destroy();
      return true;
    });
    const error = await hubError(() => downloadModel('org/model', options));
    expect(error.failure).toBe('interrupted');
    expect(error.message).toContain(`50000 of ${WEIGHTS.length} bytes of model.safetensors are kept`);
    expect(existsSync(join(dir, 'model.safetensors'))).toBe(false);
    down = false;
    await downloadModel('org/model', options);
    expect(paths().at(-1)).toBe('model.safetensors bytes=50000-');
    expect(readFileSync(join(dir, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
  });

  test('a part of another content is not continued', async () => {
    let first = true;
    const { options, paths, dir } = await hub((request, response) => {
      if (!isWeights(request)) return false;
      if (first) void cutAfter(response, WEIGHTS, { bytes: 50_000, path: join(dir, 'model.safetensors') });
      else sendFile(request, response, WEIGHTS, '"v2"');
      first = false;
      return true;
    });
    await downloadModel('org/model', options);
    expect(paths().filter(path => path.startsWith('model.s')).length).toBeGreaterThan(2);
    expect(readFileSync(join(dir, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
  });
});

describe('what arrives is checked', () => {
  test.each<[string, (content: Buffer) => Buffer, string]>([
    ['changed bytes', content => Buffer.from(content.map((b, i) => (i === 99 ? b ^ 1 : b))), 'arrived damaged'],
    ['too many bytes', content => Buffer.concat([content, content]), 'longer than'],
  ])('%s', async (_, change, message) => {
    const { options, dir } = await hub((request, response) => {
      if (!isWeights(request)) return false;
      response.end(change(WEIGHTS));
      return true;
    });
    const error = await hubError(() => downloadModel('org/model', options));
    expect(error.failure).toBe('damaged');
    expect(error.message).toContain(message);
    expect(readdirSync(dir)).not.toContain('model.safetensors');
  });

  test('small files by their git hash', async () => {
    const { options } = await hub((request, response) => {
      if (!request.url?.endsWith('config.json')) return false;
      response.end(Buffer.alloc(CONFIG.length, 32));
      return true;
    });
    expect((await hubError(() => downloadModel('org/model', options))).message).toContain('config.json arrived damaged');
  });
});

describe('token and redirects', () => {
  test('the token goes to the hub and not to its storage', async () => {
    const seen: Array<string | undefined> = [];
    const storage = await listen((request, response) => {
      seen.push(request.headers.authorization);
      sendFile(request, response, WEIGHTS);
    });
    const { options, requests } = await hub((request, response) => {
      if (!isWeights(request)) return false;
      response.writeHead(302, { location: `${storage}/blob` }).end();
      return true;
    });
    await downloadModel('org/model', { ...options, token: 'hf_secret' });
    expect(requests.every(request => request.headers.authorization === 'Bearer hf_secret')).toBe(true);
    expect(seen).toEqual([undefined]);
  });

  test('redirects are bounded', async () => {
    const { options } = await hub((request, response) => {
      response.writeHead(302, { location: request.url }).end();
      return true;
    });
    expect((await hubError(() => downloadModel('org/model', options))).message).toContain('redirects more than 5 times');
  });

  test('a redirect without an address is named', async () => {
    const { options } = await hub((_, response) => Boolean(response.writeHead(302, { location: 'http://' }).end()));
    expect((await hubError(() => downloadModel('org/model', options))).message).toContain('redirects to something that is not an address');
  });
});

describe('says what to do', () => {
  const answer = (status: number) => hub((_, response) => Boolean(response.writeHead(status).end()));

  test.each([
    [401, undefined, 'gated', 'set HF_TOKEN'],
    [403, 'hf_secret', 'gated', 'the token is refused'],
    [404, undefined, 'missing', 'check the name'],
    [500, undefined, 'server', 'try again later'],
  ] as const)('%i with token %s', async (status, token, failure, message) => {
    const { options, requests } = await answer(status);
    const error = await hubError(() => downloadModel('org/model', { ...options, token }));
    expect(error.failure).toBe(failure);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('hf_secret');
    expect(requests.length).toBe(status === 500 ? 5 : 1);
  });

  test('offline: by choice, without a network, and with a copy in the cache', async () => {
    const { options, dir, requests, warnings } = await hub();
    const offline = await hubError(() => downloadModel('org/model', { ...options, offline: true }));
    expect([offline.failure, requests.length]).toEqual(['offline', 0]);
    const nowhere = { ...options, endpoint: 'http://127.0.0.1:9' };
    expect((await hubError(() => downloadModel('org/model', nowhere))).message).toMatch(/cannot be reached .*NODE_USE_ENV_PROXY=1/);
    await downloadModel('org/model', options);
    expect(await downloadModel('org/model', { ...options, offline: true })).toBe(dir);
    expect(await downloadModel('org/model', nowhere)).toBe(dir);
    expect(warnings.at(-1)).toContain('the copy in the cache is used');
  });

  test('unsupported weights, several GGUF files, or another process downloading are explained', async () => {
    const others = await hub(undefined, { 'config.json': CONFIG, 'tf_model.h5': Buffer.from('x') });
    expect((await hubError(() => downloadModel('org/model', others.options))).message).toContain('choose a repository with one of them');
    const several = await hub(undefined, { 'a.gguf': Buffer.from('x'), 'b.gguf': Buffer.from('y') });
    expect((await hubError(() => downloadModel('org/model', several.options))).message).toContain('2 GGUF files (a.gguf, b.gguf)');
    const busy = await hub((request, response) => {
      if (!request.url?.endsWith('config.json')) return false;
      claim(ofParent);
      response.destroy();
      return true;
    });
    const claim = (name: string): void => {
      mkdirSync(join(busy.dir, '.lock'), { recursive: true });
      writeFileSync(join(busy.dir, '.lock', name), '');
    };
    const ofParent = claimName({ pid: process.ppid });
    await hubError(() => downloadModel('org/model', busy.options));
    expect((await hubError(() => downloadModel('org/model', busy.options))).message).toContain(`process ${process.ppid} is downloading`);
    // The number of an ended process, reused by this one.
    rmSync(join(busy.dir, '.lock'), { recursive: true });
    claim(claimName({ pid: process.ppid, startTime: '1' }));
    expect((await hubError(() => downloadModel('org/model', busy.options))).message).not.toContain('is downloading');
  });

  test('a listing with unsafe names or sizes is refused', async () => {
    const { options } = await hub((request, response) => {
      response.end(
        JSON.stringify({
          sha: COMMIT,
          siblings: [{ rfilename: '../../evil.safetensors', size: 1 }, { rfilename: 'model.safetensors', size: -1 }, null, 7],
        }),
      );
      return request.url !== undefined;
    });
    expect((await hubError(() => downloadModel('org/model', options))).failure).toBe('missing');
  });
});

test.each([
  ['org/name', true],
  ['gpt2', true],
  ['HuggingFaceTB/SmolLM2-135M', true],
  ['../name', false],
  ['a/b/c', false],
  ['a/..', false],
  ['', false],
])('the name %s', (name, ok) => {
  expect(isHubName(name)).toBe(ok);
});
