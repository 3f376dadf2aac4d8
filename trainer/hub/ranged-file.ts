/** A file on the hub that is read by ranges, and whose beginning is cached. A commit never changes, so its bytes do not either. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { writeAt } from '../files/write-at.ts';
import { fileSize } from '../format/model-config.ts';
import { requireSpace } from './hub-cache.ts';
import { type DownloadOptions, withRetries } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import type { HubFile } from './hub-files.ts';
import { bodyOf, type HubClient, requestSoon } from './hub-http.ts';

export interface RangedFileParams {
  readonly client: HubClient;
  readonly url: string;
  readonly file: HubFile;
  /** The path of the whole file. */
  readonly path: string;
  /** The error to throw if a range would have to be requested; if left out, it is requested. */
  readonly refused?: HubError | undefined;
}

/** Maximum size of a range, which is held in memory. */
const MAX_RANGE_BYTES = 2 ** 27;
/** Number of bytes of the beginning that are fetched and cached at a time. */
const PIECE_BYTES = 2 ** 22;

export class RangedFile {
  readonly path: string;
  readonly byteLength: number;
  private readonly params: RangedFileParams;
  private readonly options: DownloadOptions;
  /** The ETag of the content in the first answer. */
  private etag: string | undefined;

  constructor(params: RangedFileParams, options: DownloadOptions) {
    this.path = params.path;
    this.byteLength = params.file.size;
    this.params = params;
    this.options = options;
  }

  /** The bytes from `start` to `end` (exclusive). @throws HubError, also if the server does not support ranges */
  async slice(start: number, end = this.byteLength): Promise<ArrayBuffer> {
    if (!(start >= 0 && end >= start && end <= this.byteLength && end - start <= MAX_RANGE_BYTES))
      throw new RangeError(`${end - start} bytes at byte ${start} of ${this.byteLength}; at most ${MAX_RANGE_BYTES} are read at once`);
    if (start === end) return new ArrayBuffer(0);
    if (this.params.refused) throw this.params.refused;
    return withRetries(this.options, () => this.fetch(start, end));
  }

  /**
   * Fetches the missing part of the first bytes; another call continues from there. Several processes may do so at the same time, because
   * they write the same bytes to the same offsets.
   * @returns the path of a file that begins with these bytes
   * @throws HubError
   */
  async keepBeginning(bytes: number): Promise<string> {
    const kept = `${this.path}.beginning`;
    const known = (await fileSize(kept)) ?? 0;
    if (known >= bytes) return kept;
    await requireSpace(path.dirname(kept), bytes - known);
    const handle = await open(kept, constants.O_RDWR | constants.O_CREAT);
    try {
      for (let done = known; done < bytes; )
        done = await writeAt(handle, new Uint8Array(await this.slice(done, Math.min(bytes, done + PIECE_BYTES))), done);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return kept;
  }

  private async fetch(start: number, end: number): Promise<ArrayBuffer> {
    const { client, url, file } = this.params;
    const response = await requestSoon(client, url, { range: `bytes=${start}-${end - 1}` });
    const isRange = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${start}-${end - 1}/`) === true;
    if (!isRange) {
      await response.body?.cancel();
      throw new HubError('no-ranges', `${new URL(url).host} sends no ranges of ${file.name}`);
    }
    const etag = response.headers.get('etag') ?? '';
    this.etag ??= etag;
    if (etag !== this.etag) {
      await response.body?.cancel();
      throw new HubError('damaged', `${file.name} on the hub changed while it was being read: try again`);
    }
    const { bytes, isCut } = await bodyOf(response, url, end - start);
    if (isCut)
      throw new HubError('server', `${new URL(url).host} sends more than the ${end - start} bytes of ${file.name} that it announced`);
    if (bytes.byteLength !== end - start)
      throw new HubError('interrupted', `${file.name} broke off in bytes ${start} to ${end}`, { transient: true });
    return bytes.buffer;
  }
}
