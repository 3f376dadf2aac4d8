/** Memory of released tensors, reused for the next ones: fresh pages would first have to be cleared by the system. */

/** Smaller buffers are not worth keeping. */
const MIN_BYTES = 2 ** 20;
/** Largest buffer that is reused for a tensor, as a multiple of the tensor's size; the rest of it is held for nothing. */
const MAX_SIZE_RATIO = 2;

export class SpareMemory {
  private readonly taken = new WeakSet<ArrayBufferLike>();
  private spare: ArrayBuffer[] = [];

  /** Returns this many bytes at the start of a buffer, with arbitrary content. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes < MIN_BYTES) return new Uint8Array(bytes);
    // Tensors come largest first, so a buffer too large for this one is too large for all others.
    this.spare = this.spare.filter(({ byteLength }) => byteLength <= MAX_SIZE_RATIO * bytes);
    const at = this.spare.findIndex(({ byteLength }) => byteLength >= bytes);
    const [buffer = new ArrayBuffer(bytes)] = at < 0 ? [] : this.spare.splice(at, 1);
    this.taken.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Takes back the buffer of an array; does nothing if the buffer is not from `take` or was already given back. */
  give({ buffer }: { readonly buffer: ArrayBufferLike }): void {
    if (buffer instanceof ArrayBuffer && this.taken.delete(buffer)) this.spare.push(buffer);
  }
}
