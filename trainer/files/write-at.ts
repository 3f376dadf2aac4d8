/** Writes of any size at a position. */
import type { FileHandle } from 'node:fs/promises';

/** Maximum size per call; some systems refuse larger calls. */
const WRITE_BYTES = 64 * 1024 * 1024;

/** Writes bytes and returns the position after them. */
export async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(WRITE_BYTES, bytes.length - done), position + done);
    done += bytesWritten;
  }
  return position + bytes.length;
}
