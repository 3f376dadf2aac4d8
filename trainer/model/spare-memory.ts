/** Memory of tensors that were released: another one is read into it, instead of into pages that the system has to clear first. */

/** Less is not worth keeping. */
const LEAST_BYTES = 2 ** 20;
/** A tensor gets no memory that is larger than so many of it: the rest would be held for nothing. */
const MOST_TIMES = 2;

export class SpareMemory {
  private readonly taken = new WeakSet<ArrayBufferLike>();
  private spare: ArrayBuffer[] = [];

  /** Returns so many bytes, which hold anything, from the start of their buffer on. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes < LEAST_BYTES) return new Uint8Array(bytes);
    // Tensors come the largest first: what is too large for this one is too large for all others.
    this.spare = this.spare.filter(({ byteLength }) => byteLength <= MOST_TIMES * bytes);
    const at = this.spare.findIndex(({ byteLength }) => byteLength >= bytes);
    const [buffer = new ArrayBuffer(bytes)] = at < 0 ? [] : this.spare.splice(at, 1);
    this.taken.add(buffer);
    return new Uint8Array(buffer, 0, bytes);
  }

  /** Takes back what an array lies in; nothing if that is no memory of `take`, or was given back before. */
  give({ buffer }: { readonly buffer: ArrayBufferLike }): void {
    if (buffer instanceof ArrayBuffer && this.taken.delete(buffer)) this.spare.push(buffer);
  }
}
