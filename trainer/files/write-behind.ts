/** Writes a file asynchronously: one chunk is being written to disk while the next is produced. */
import type { FileHandle } from 'node:fs/promises';
import { writeAt } from './write-at.ts';

/** Number of written bytes after which the system is asked to flush: otherwise, it would flush everything only at the end of the file. */
const FLUSH_BYTES = 64 * 2 ** 20;

export class WriteBehind {
  private readonly handle: FileHandle;
  private position: number;
  private unflushed = 0;
  private writing: Promise<unknown> = Promise.resolve();
  private flushing: Promise<unknown> = Promise.resolve();

  constructor(handle: FileHandle, position: number) {
    this.handle = handle;
    this.position = position;
  }

  /**
   * Starts writing these bytes after the previous ones have been written. They must not change until the next call, or `end`, has
   * completed.
   * @throws errors of the disk, for this chunk or the previous one
   */
  async write(bytes: Uint8Array): Promise<void> {
    await this.writing;
    const position = this.position;
    this.position += bytes.length;
    this.writing = this.put(bytes, position);
    // The next call reports the error.
    this.writing.catch(() => undefined);
  }

  /** Waits until all bytes are written. @throws errors of the disk */
  async end(): Promise<void> {
    await this.writing;
    await this.flushing;
  }

  private async put(bytes: Uint8Array, position: number): Promise<void> {
    await writeAt(this.handle, bytes, position);
    this.unflushed += bytes.length;
    if (this.unflushed < FLUSH_BYTES) return;
    this.unflushed = 0;
    await this.flushing;
    this.flushing = this.handle.datasync();
    this.flushing.catch(() => undefined);
  }
}
