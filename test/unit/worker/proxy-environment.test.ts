/** Tests when a worker uses the proxy in its environment. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { proxyEnvironment } from '../../../trainer/worker/proxy-environment.ts';
import { startWorkerProcess } from '../../../trainer/worker/worker-process.ts';

const used = { NODE_USE_ENV_PROXY: '1' };

it.each([
  ['none is named', {}, {}],
  ['one is named', { HTTPS_PROXY: 'http://proxy:3128' }, used],
  ['one is named in small letters', { http_proxy: 'https://ada:secret@proxy' }, used],
  ['one is empty, which is none', { HTTPS_PROXY: '' }, {}],
  ['only exceptions are named', { NO_PROXY: 'localhost' }, {}],
  ['one is of a kind that Node would end at', { HTTPS_PROXY: 'http://proxy:3128', http_proxy: 'socks5://proxy' }, {}],
  ['one is no address', { HTTPS_PROXY: 'proxy:3128' }, {}],
])('%s', (_, env, expected) => expect(proxyEnvironment(env)).toEqual(expected));

describe('a worker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-proxy-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  /** Returns the variables that a worker finds in its environment. */
  async function found(): Promise<unknown> {
    const workerFile = join(folder, 'worker.mjs');
    const answer = "{ type: 'result', value: process.env.NODE_USE_ENV_PROXY }";
    writeFileSync(workerFile, `process.once('message', () => process.send(${answer}, () => process.disconnect()));`);
    const request = { kind: 'doctor', engine: 'portable', context: { cacheDir: folder, baseDir: folder, hub: { offline: true } } } as const;
    const { last } = await startWorkerProcess({ request, threads: 1, workerFile, onEvent: () => undefined, onLine: () => undefined }).ended;
    return last?.type === 'result' ? last.value : last;
  }

  it('is used where one is named, and not where the user says no', async () => {
    vi.stubEnv('HTTPS_PROXY', 'http://127.0.0.1:9');
    vi.stubEnv('NODE_USE_ENV_PROXY', undefined);
    expect(await found()).toBe('1');
    vi.stubEnv('NODE_USE_ENV_PROXY', '0');
    expect(await found()).toBe('0');
  });
});
