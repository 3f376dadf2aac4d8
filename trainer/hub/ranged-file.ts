/** A file of the hub that is read by ranges, and whose beginning is kept. A commit never changes, so its bytes do not either. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { writeAt } from '../files/write-at.ts';
import { fileSize } from '../format/model-config.ts';
import { requireSpace } from './hub-cache.ts';
import { type DownloadOptions, withRetries } from './hub-download.ts';
import { HubError } from './hub-error.ts';
import type { HubFile } from './hub-files.ts';
import { type HubClient, networkError, requestSoon } from './hub-http.ts';

export interface RangedFileParams {
  readonly client: HubClient;
  readonly url: string;
  readonly file: HubFile;
  /** The path of the whole file. */
  readonly path: string;
  /** Thrown where a range would have to be asked for; left out, it is. */
  readonly refused?: HubError | undefined;
}

/** A range is held in memory. */
const MAX_RANGE_BYTES = 2 ** 27;
/** Bytes of the beginning that are fetched at a time, and kept. */
const PIECE_BYTES = 2 ** 22;

export class RangedFile {
  readonly path: string;
  readonly byteLength: number;
  readonly #params: RangedFileParams;
  readonly #options: DownloadOptions;
  /** The content that the first answer was of, by its ETag. */
  #etag: string | undefined;

  constructor(params: RangedFileParams, options: DownloadOptions) {
    this.path = params.path;
    this.byteLength = params.file.size;
    this.#params = params;
    this.#options = options;
  }

  /** Bytes `start` to `end`, the last not included. @throws HubError, also from a server that sends no ranges */
  async slice(start: number, end = this.byteLength): Promise<ArrayBuffer> {
    if (!(start >= 0 && end >= start && end <= this.byteLength && end - start <= MAX_RANGE_BYTES))
      throw new RangeError(`${end - start} bytes at byte ${start} of ${this.byteLength}; at most ${MAX_RANGE_BYTES} are read at once`);
    if (start === end) return new ArrayBuffer(0);
    if (this.#params.refused) throw this.#params.refused;
    return withRetries(this.#options, () => this.#fetch(start, end));
  }

  /**
   * Fetches what is missing of the first bytes. Another call continues where they end. Several processes may do so at the same time: they
   * write the same bytes to the same places.
   * @returns the path of a file that begins with them
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

  async #fetch(start: number, end: number): Promise<ArrayBuffer> {
    const { client, url, file } = this.#params;
    const response = await requestSoon(client, url, { range: `bytes=${start}-${end - 1}` });
    const isRange = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${start}-${end - 1}/`) === true;
    if (!isRange) {
      await response.body?.cancel();
      throw new HubError('no-ranges', `${new URL(url).host} sends no ranges of ${file.name}`);
    }
    const etag = response.headers.get('etag') ?? '';
    this.#etag ??= etag;
    if (etag !== this.#etag) {
      await response.body?.cancel();
      throw new HubError('damaged', `${file.name} on the hub changed while it was being read: try again`);
    }
    const bytes = await response.arrayBuffer().catch((error: unknown) => {
      throw networkError(new URL(url), error);
    });
    if (bytes.byteLength !== end - start)
      throw new HubError('interrupted', `${file.name} broke off in bytes ${start} to ${end}`, { transient: true });
    return bytes;
  }
}
