/**
 * Reads files from outside: only regular files, and never more than the caller allows.
 *
 * A path may lead to a named pipe (opening one blocks a thread until someone writes), to an endless device, or to a file of any size. So
 * the kind is checked first (opening a device can have side effects), the file is opened without blocking, and the opened file is checked
 * again, because a name can change its target in between.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';

/** Flags for reading; Windows has neither pipes in folders nor these flags. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/** Size of the first read for files that do not report their size, such as those of /proc. */
const FIRST_PIECE_BYTES = 64 * 1024;

/** Bounds for small files. Each is far above what Rowtune or a model's author writes, and small enough to hold in memory at once. */
export const MAX_STATE_BYTES = 2 ** 20;
export const MAX_JSON_BYTES = 64 * 2 ** 20;

export type ReadRefusal = 'not-regular-file' | 'file-too-large' | 'outside-folder';

/** Thrown if the file exists but is not read; `code` gives the reason. System errors (ENOENT, EACCES …) are thrown unchanged. */
export class ReadRefusedError extends Error {
  override name = 'ReadRefusedError';
  readonly code: ReadRefusal;
  readonly path: string;
  /** The problem, as text that follows the file name. */
  readonly what: string;
  /** How to fix it. */
  readonly hint: string;

  constructor(path: string, code: ReadRefusal, what: string, hint: string) {
    super(`${path} ${what}`);
    this.path = path;
    this.what = what;
    this.code = code;
    this.hint = hint;
  }
}

export interface RegularFile {
  readonly handle: FileHandle;
  readonly stats: Stats;
}

/**
 * Opens a regular file (links are followed) for reading. The caller closes the handle.
 * @throws ReadRefusedError 'not-regular-file', or the system's error
 */
export async function openRegularFile(path: string): Promise<RegularFile> {
  requireRegular(path, await stat(path));
  const handle = await open(path, READ_FLAGS);
  try {
    return { handle, stats: requireRegular(path, await handle.stat()) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Opens a regular file in a folder that a request names. The folder itself may be a link; a file in it that leads outside is refused.
 * @throws ReadRefusedError 'outside-folder' or 'not-regular-file', or the system's error
 */
export async function openInFolder(folder: string, name: string): Promise<RegularFile> {
  const path = join(folder, name);
  const [root, real] = [await realpath(folder), await realpath(path)];
  const within = relative(root, real);
  if (within.startsWith('..') || isAbsolute(within))
    throw new ReadRefusedError(path, 'outside-folder', `leads out of its folder, to ${real}`, 'Replace the link by the file itself.');
  return openRegularFile(real);
}

/** The content of a regular file in blocks, to its end or up to `maxBytes`. @throws as {@link openRegularFile} */
export async function* readRegularBlocks(path: string, blockBytes: number, maxBytes = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  const { handle } = await openRegularFile(path);
  try {
    for (let done = 0; done < maxBytes; ) {
      const block = Buffer.allocUnsafe(Math.min(blockBytes, maxBytes - done));
      const { bytesRead } = await handle.read(block, 0, block.length, null);
      if (bytesRead === 0) return;
      done += bytesRead;
      yield block.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/**
 * The whole content of a regular file of at most `maxBytes`.
 * @throws ReadRefusedError 'not-regular-file' or 'file-too-large', or the system's error
 */
export async function readRegularFile(path: string, maxBytes: number): Promise<Buffer> {
  const { handle, stats } = await openRegularFile(path);
  try {
    const target = new BoundedBuffer(path, stats.size, maxBytes);
    for (;;) {
      const { buffer, offset, length } = target.free();
      const { bytesRead } = await handle.read(buffer, offset, length, null);
      if (bytesRead === 0) return target.content();
      target.add(bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** Reads a file like readRegularFile, decoded as UTF-8. */
export const readRegularText = async (path: string, maxBytes: number): Promise<string> =>
  (await readRegularFile(path, maxBytes)).toString('utf8');

/** A buffer that grows to at most one byte more than allowed, which shows that there is more: a reported size may be wrong. */
class BoundedBuffer {
  private readonly path: string;
  private readonly maxBytes: number;
  private buffer: Buffer;
  private used = 0;

  constructor(path: string, size: number, maxBytes: number) {
    this.path = path;
    this.maxBytes = maxBytes;
    if (size > maxBytes) throw tooLarge(path, maxBytes, size);
    this.buffer = Buffer.allocUnsafe(Math.min(size > 0 ? size : FIRST_PIECE_BYTES, maxBytes) + 1);
  }

  free(): { readonly buffer: Buffer; readonly offset: number; readonly length: number } {
    if (this.used === this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.min(2 * this.buffer.length, this.maxBytes + 1));
      this.buffer.copy(larger);
      this.buffer = larger;
    }
    return { buffer: this.buffer, offset: this.used, length: this.buffer.length - this.used };
  }

  add(bytes: number): void {
    this.used += bytes;
    if (this.used > this.maxBytes) throw tooLarge(this.path, this.maxBytes);
  }

  content(): Buffer {
    return this.buffer.subarray(0, this.used);
  }
}

function requireRegular(path: string, stats: Stats): Stats {
  if (stats.isFile()) return stats;
  const remedy = 'Replace it with a regular file, or remove it.';
  throw new ReadRefusedError(path, 'not-regular-file', `is ${kindOf(stats)}, not a regular file`, remedy);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a named pipe';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'something else';
}

export function tooLarge(path: string, maxBytes: number, size?: number): ReadRefusedError {
  const has = size === undefined ? 'has more' : `has ${size} bytes, more`;
  return new ReadRefusedError(path, 'file-too-large', `${has} than the ${maxBytes} bytes allowed`, 'Check that it is the right file.');
}
