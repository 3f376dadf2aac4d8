/** Tests access to a server: the answers to a missing and a wrong key, and to the preflight request of a browser. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { originOf } from '../../../trainer/cli/commands/serve.ts';
import { type RunningServer, requireFreePort, startServer } from '../../../trainer/serve/http-server.ts';

const page = 'https://mine.example';
let server: RunningServer;
beforeAll(async () => {
  const rules = { host: '127.0.0.1', port: 0, token: 'secret', origins: [page] };
  server = await startServer({ ...rules, models: [], embedders: [], maxTokens: 1, onRequest: () => undefined });
});
afterAll(() => server.close());

test('before models are loaded, a port that is in use is named, with what to choose', async () => {
  const { port } = server;
  await expect(requireFreePort({ host: '127.0.0.1', port })).rejects.toMatchObject({
    message: `port ${port} of 127.0.0.1 is in use by another program`,
    hint: expect.stringContaining('--port (0 takes a free one)'),
  });
});

test.each([
  ['http://localhost:3000/', 'http://localhost:3000'],
  ['https://mine.example/page', 'https://mine.example'],
  ['vscode-webview://abc/', 'vscode-webview://abc'],
])('--allow-origin %s', (given, origin) => expect(originOf(given)).toBe(origin));

test.each(['localhost:3000', '*'])('--allow-origin %s is no address', given => {
  expect(() => originOf(given)).toThrow(`--allow-origin takes the address of a web page, not ${given}`);
});

const ask = (options: RequestInit): Promise<Response> => fetch(`http://127.0.0.1:${server.port}/v1/models`, options);

test.each([
  ['no key', {}, 'the API key is missing: send the one that the server printed as "Authorization: Bearer KEY"'],
  ['a wrong key', { authorization: 'Bearer other' }, 'the API key is wrong: send the one that the server printed when it started'],
])('%s', async (_, headers, message) => {
  const response = await ask({ headers });
  expect([response.status, await response.json()]).toEqual([401, { error: expect.objectContaining({ message, code: 'invalid_api_key' }) }]);
});

test('a permitted page may send the headers that its library sends', async () => {
  const asked = 'authorization,content-type,x-stainless-lang';
  const { status, headers } = await ask({ method: 'OPTIONS', headers: { origin: page, 'access-control-request-headers': asked } });
  expect([status, headers.get('access-control-allow-headers')]).toEqual([204, asked]);
  expect((await ask({ method: 'OPTIONS', headers: { origin: 'https://other.example' } })).status).toBe(403);
});
