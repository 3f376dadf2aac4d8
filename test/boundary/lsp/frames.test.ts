/** Tests messages that no editor sends: the language server must still answer the next one. */
import { afterAll, expect, test } from 'vitest';
import { mutatedFrames } from '../../support/daemon/mutate-frames.ts';
import { LanguageClient } from './language-client.ts';

const client = new LanguageClient();
afterAll(() => void client.process.kill());

const uri = 'file:///nowhere/spam.rowtune.yaml';
const at = { textDocument: { uri }, position: { line: 0, character: 0 } };
const range = { start: at.position, end: at.position };
const valid = [
  { jsonrpc: '2.0', id: 1000, method: 'textDocument/hover', params: at },
  { jsonrpc: '2.0', id: 1001, method: 'textDocument/completion', params: at },
  { jsonrpc: '2.0', id: 1002, method: 'textDocument/codeAction', params: { ...at, range, context: { diagnostics: [] } } },
  { jsonrpc: '2.0', id: 1003, method: 'textDocument/diagnostic', params: at },
  { jsonrpc: '2.0', id: 1004, method: 'textDocument/inlayHint', params: { ...at, range } },
  { jsonrpc: '2.0', method: 'textDocument/didOpen', params: { textDocument: { uri, languageId: 'yaml', version: 1, text: 'model: m\n' } } },
  {
    jsonrpc: '2.0',
    method: 'textDocument/didChange',
    params: { textDocument: { uri, version: 2 }, contentChanges: [{ text: 'model: n\n' }] },
  },
  { jsonrpc: '2.0', method: 'textDocument/didClose', params: { textDocument: { uri } } },
  { jsonrpc: '2.0', method: 'workspace/didChangeConfiguration', params: { settings: { rowtune: {} } } },
  { jsonrpc: '2.0', method: '$/cancelRequest', params: { id: 1000 } },
  { jsonrpc: '2.0', method: '$/setTrace', params: { value: 'off' } },
];

const send = (text: string): void => {
  client.process.stdin?.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
};

test('mutated messages do not end the server, before initialize or after it', async () => {
  send('{"jsonrpc":"2.0","method":"$/cancelRequest"}');
  await client.initialize({});
  let sent = 0;
  for (const frame of mutatedFrames(valid, 2000, 13)) {
    // Ids belong to the editor, and 'exit' would really end the server.
    if (/"(exit|shutdown)"/.test(frame)) continue;
    send(frame);
    if (sent++ % 100 === 0) await client.request('textDocument/hover', at);
  }
  expect(sent).toBeGreaterThan(1900);
  const other = 'file:///nowhere/other.rowtune.yaml';
  await client.notify('textDocument/didOpen', { textDocument: { uri: other, languageId: 'yaml', version: 1, text: 'model: m\n' } });
  const hover = await client.request('textDocument/hover', { ...at, textDocument: { uri: other } });
  expect(JSON.stringify(hover)).toContain('model');
  expect(client.process.exitCode).toBeNull();
  expect(await client.shutdown()).toBe(0);
});
