/** A local server that answers like the hub, and the errors expected from downloads. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';
import { HubError } from '../../../trainer/hub/hub-error.ts';
import { portOf } from '../../support/machine/port-of.ts';
import { until } from '../../support/machine/until.ts';

/** Returns true if it has answered. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => boolean;

export async function listen(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(handler);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${portOf(server)}`;
}

/** Returns the hub's listing of files; those that end in .safetensors or .parquet are stored as LFS. */
export const siblingsOf = (files: Readonly<Record<string, Buffer>>): object[] =>
  Object.entries(files).map(([rfilename, content]) =>
    /\.(safetensors|parquet)$/.test(rfilename)
      ? {
          rfilename,
          size: content.length,
          blobId: 'x',
          lfs: { size: content.length, sha256: createHash('sha256').update(content).digest('hex') },
        }
      : { rfilename, size: content.length, blobId: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex') },
  );

/** Returns the number of bytes that it sends. */
export function sendFile(request: IncomingMessage, response: ServerResponse, content: Buffer, etag = '"v1"'): number {
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const [start, end] = [Number(from), to === '' ? content.length : Number(to) + 1];
  const isRange = start > 0 || to !== '';
  const range = isRange ? { 'content-range': `bytes ${start}-${end - 1}/${content.length}` } : {};
  response.writeHead(isRange ? 206 : 200, { etag, 'content-length': end - start, ...range });
  response.end(content.subarray(start, end));
  return end - start;
}

/** Sends the first `bytes` of a file, and cuts the connection when the client has written them. */
export async function cutAfter(
  response: ServerResponse,
  content: Buffer,
  { bytes, path }: { readonly bytes: number; readonly path: string },
): Promise<void> {
  response.writeHead(200, { etag: '"v1"', 'content-length': content.length });
  response.write(content.subarray(0, bytes));
  await until(() => (statSync(`${path}.part`, { throwIfNoEntry: false })?.size ?? 0) >= bytes, `${bytes} bytes of ${path}`);
  response.destroy();
}

export async function hubError(work: () => Promise<unknown>): Promise<HubError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof HubError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}
