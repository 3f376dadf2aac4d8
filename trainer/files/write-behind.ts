/** Writes a file behind whoever makes its bytes: one piece is on its way to the disk while the next is made. */
import type { FileHandle } from 'node:fs/promises';
import { writeAt } from './write-at.ts';

/** Written bytes after which the system is asked to bring them to the disk: it would begin only when the file is flushed at its end. */
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
   * Begins to write these bytes behind those before, once those are written. They must not change until the next call, or `end`, is over.
   * @throws the error of the disk, of this piece or the one before
   */
  async write(bytes: Uint8Array): Promise<void> {
    await this.writing;
    const position = this.position;
    this.position += bytes.length;
    this.writing = this.put(bytes, position);
    // Reported by the next call.
    this.writing.catch(() => undefined);
  }

  /** Waits until all is written. @throws the error of the disk */
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
