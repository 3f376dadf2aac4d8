/** Downloads one file from the hub to disk: resumed after an interruption, hashed on the way, renamed when complete. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { MAX_STATE_BYTES, readRegularText } from '../files/regular-file.ts';
import { writeAt } from '../files/write-at.ts';
import { fileSize } from '../format/model-config.ts';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { HubError } from './hub-error.ts';
import type { HubFile } from './hub-files.ts';
import { type HubClient, networkError, request, STALL_TIMEOUT_MS } from './hub-http.ts';

export interface Transfer {
  readonly client: HubClient;
  readonly url: string;
  readonly file: HubFile;
  /** The final path; `<path>.part` holds the bytes received so far, `<path>.part.etag` the ETag of their content. */
  readonly path: string;
  /** Receives the number of bytes of this file on disk. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Makes one attempt. If it is interrupted, the received bytes stay in the `.part` file for the next one.
 * @throws HubError; transient if another attempt can help
 */
export async function transferOnce(transfer: Transfer): Promise<void> {
  const part = `${transfer.path}.part`;
  const etagPath = `${part}.etag`;
  let start = (await fileSize(part)) ?? 0;
  if (start > transfer.file.size) start = 0;
  const stall = new StallGuard(transfer.client.signal);
  try {
    const response = await stall.watch(
      request(transfer.client, transfer.url, start > 0 && start < transfer.file.size ? { range: `bytes=${start}-` } : {}, stall.signal),
    );
    const etag = response.headers.get('etag') ?? '';
    if (!(await continues(response, start, etag, part))) start = 0;
    if (response.status === 416) {
      await rm(part, { force: true });
      throw new HubError('interrupted', `${transfer.url} has no bytes from ${start} on`, { transient: true });
    }
    await writeFile(etagPath, etag);
    await receive({ transfer, part, response, start, stall });
  } finally {
    stall.end();
  }
  await rm(etagPath, { force: true });
  await rename(part, transfer.path);
}

/** True if the answer continues where the part ends. A part of different content is deleted, and the next attempt starts over. */
async function continues(response: Response, start: number, etag: string, part: string): Promise<boolean> {
  if (start === 0 || response.status !== 206) return false;
  const from = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (Number(from) === start && etag === (await readRegularText(`${part}.etag`, MAX_STATE_BYTES).catch(() => undefined))) return true;
  await rm(part, { force: true });
  await response.body?.cancel();
  throw new HubError('interrupted', 'the file on the hub is not the one that was begun: it is fetched again', { transient: true });
}

async function receive(input: { transfer: Transfer; part: string; response: Response; start: number; stall: StallGuard }): Promise<void> {
  const { transfer, part, response, start, stall } = input;
  const { file } = transfer;
  const hash = hashOf(file);
  if (start > 0) await hashFile(hash, part, start, () => stall.alive());
  const handle = await open(part, start > 0 ? 'r+' : 'w');
  let size = start;
  try {
    for await (const chunk of response.body ?? []) {
      stall.alive();
      if (size + chunk.length > file.size)
        throw new HubError('damaged', `${file.name} is longer than the ${file.size} bytes the hub announced`);
      size = await writeAt(handle, chunk, size);
      hash.update(chunk);
      transfer.onBytes(size);
    }
    await handle.sync();
  } catch (error) {
    throw error instanceof HubError || isDiskError(error) ? diskOr(error, part) : networkError(new URL(transfer.url), error);
  } finally {
    await handle.close();
  }
  if (size < file.size)
    throw new HubError('interrupted', `${file.name} broke off after ${size} of ${file.size} bytes`, { transient: true });
  const expected = file.sha256 ?? file.gitSha1;
  if (expected !== undefined && hash.digest('hex') !== expected) {
    await rm(part, { force: true });
    throw new HubError('damaged', `${file.name} arrived damaged (its hash differs from the hub's)`, { transient: true });
  }
}

/** Starts the hash by which the hub identifies a file: `sha256`, or git's blob hash. */
export const hashOf = ({ size, sha256 }: Pick<HubFile, 'size' | 'sha256'>): Hash =>
  sha256 === undefined ? createHash('sha1').update(`blob ${size}\0`) : createHash('sha256');

/** Adds the first bytes of a file to a hash. @param onChunk receives the size of each chunk */
export async function hashFile(hash: Hash, path: string, bytes: number, onChunk: (size: number) => void): Promise<void> {
  // A stream cannot read zero bytes.
  if (bytes === 0) return;
  const chunks: AsyncIterable<Uint8Array> = createReadStream(path, { end: bytes - 1 });
  for await (const chunk of chunks) {
    hash.update(chunk);
    onChunk(chunk.length);
  }
}

const DISK_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EACCES', 'EFBIG']);

const isDiskError = (error: unknown): boolean => DISK_CODES.has(codeOf(error));

const diskOr = (error: unknown, part: string): HubError =>
  error instanceof HubError
    ? error
    : new HubError('disk', `${part} cannot be written (${messageOf(error)}): free some space or choose another cache folder`);

/** Aborts a transfer that has been silent for a while. */
class StallGuard {
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout;

  constructor(outer: AbortSignal | undefined) {
    this.signal = outer === undefined ? this.controller.signal : AbortSignal.any([outer, this.controller.signal]);
    this.timer = this.start();
  }

  alive(): void {
    clearTimeout(this.timer);
    this.timer = this.start();
  }

  async watch<T>(work: Promise<T>): Promise<T> {
    const result = await work;
    this.alive();
    return result;
  }

  end(): void {
    clearTimeout(this.timer);
  }

  private start(): NodeJS.Timeout {
    return setTimeout(() => this.controller.abort(new Error(`nothing came for ${STALL_TIMEOUT_MS / 1000} s`)), STALL_TIMEOUT_MS);
  }
}
