/** Positioned writes of any size. */
import type { FileHandle } from 'node:fs/promises';

/** Larger calls are refused by some systems. */
const WRITE_BYTES = 64 * 1024 * 1024;

/** Returns the position behind the bytes. */
export async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(WRITE_BYTES, bytes.length - done), position + done);
    done += bytesWritten;
  }
  return position + bytes.length;
}
