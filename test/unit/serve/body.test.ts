/** Tests what the server does with bodies that are too large or too many: the client gets an answer, and memory stays bounded. */
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningServer, startServer } from '../../../trainer/serve/http-server.ts';
import { until } from '../../support/machine/until.ts';

let server: RunningServer;
beforeAll(async () => {
  const rules = { host: '127.0.0.1', port: 0, token: undefined, origins: [] };
  server = await startServer({ ...rules, models: [], embedders: [], maxTokens: 1, onRequest: () => undefined });
});
afterAll(() => server.close());

interface Sent {
  status?: number;
  text: string;
  error?: Error;
  readonly end: () => void;
}

/** Sends the beginning of a body; `end` sends the rest. */
function send(begin: string | Buffer, bytes: number): Sent {
  const headers = { 'content-length': bytes };
  const sending = request({ port: server.port, host: '127.0.0.1', method: 'POST', path: '/v1/completions', headers }, response => {
    sent.status = response.statusCode;
    response.setEncoding('utf8').on('data', (part: string) => {
      sent.text += part;
    });
  });
  const sent: Sent = { text: '', end: () => sending.end('}') };
  sending.on('error', error => {
    sent.error = error;
  });
  sending.write(begin);
  return sent;
}

test('a body that is too large gets an answer that says so', async () => {
  const sent = send(Buffer.alloc(33 * 2 ** 20, 32), 64 * 2 ** 20);
  await until(() => sent.text !== '' || sent.error !== undefined, 'an answer');
  expect([sent.status, sent.error]).toEqual([413, undefined]);
  expect(sent.text).toContain('send less text at a time');
});

test('requests beyond the limit are refused while the others send their bodies', async () => {
  const all = Array.from({ length: 70 }, () => send('{', 2));
  await until(() => all.filter(({ status, text }) => status === 429 && text !== '').length === 6, 'six refusals');
  const [refused, taken] = [all.filter(({ status }) => status === 429), all.filter(({ status }) => status === undefined)];
  for (const { text } of refused) expect(text).toContain('64 requests are open already');
  for (const each of taken) each.end();
  await until(() => all.every(({ status }) => status !== undefined), 'the answers of the others');
  expect(taken.map(({ status }) => status)).toEqual(Array.from({ length: 64 }, () => 400));
});
