/** Reads bytes of files synchronously, for threads that have nothing else to do. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Flags for opening without blocking; reading itself is synchronous. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/** Opens a regular file without blocking. The caller closes it. @throws Error for anything else */
export function openRegular(file: string): number {
  const handle = openSync(file, READ_FLAGS);
  if (fstatSync(handle).isFile()) return handle;
  closeSync(handle);
  throw new Error(`${file} is not a regular file any more`);
}

/** Reads up to `count` bytes; fewer at the end of the file. @param bytes the memory to read into; if left out, new memory */
export function readAt(handle: number, start: number, count: number, bytes: Buffer = Buffer.allocUnsafe(count)): Buffer {
  let done = 0;
  while (done < count) {
    const read = readSync(handle, bytes, done, count - done, start + done);
    if (read === 0) break;
    done += read;
  }
  return bytes.subarray(0, done);
}
