/** Tests `rowtune language-server --stdio` as other editors start it. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';

const program = path.join(import.meta.dirname, '..', '..', '..', 'bin', 'rowtune.mjs');

it('speaks over its standard streams, and ends with its editor', async () => {
  const child = spawn(process.execPath, [program, 'language-server', '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise(resolve => child.once('exit', resolve));
  const connection = createMessageConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
  connection.listen();
  const params = { processId: process.pid, rootUri: null, capabilities: {} };
  expect(await connection.sendRequest('initialize', params)).toMatchObject({ serverInfo: { name: 'rowtune' } });
  await connection.sendRequest('shutdown');
  await connection.sendNotification('exit');
  expect(await ended).toBe(0);
  connection.dispose();
});
