/** The interface of a source of weights. */

/** Gives so many bytes, from the start of their buffer on. */
export type Memory = (bytes: number) => Uint8Array<ArrayBuffer>;

/** A weight file, by the names that the model uses. */
export interface WeightSource {
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** @param memory for the numbers, of a source that reads them as they are; a source may take memory of its own */
  readFloat32(name: string, memory?: Memory): Promise<Float32Array>;
  /** Bits of bfloat16, of a source that has them without going through float32. */
  readBfloat16?(name: string, memory?: Memory): Promise<Uint16Array | undefined>;
  /** `count` numbers of a tensor from its `begin`-th on, in its flat order, of a source that reads them alone. */
  readPart?(name: string, begin: number, count: number): Promise<Float32Array>;
  /** The same of its bytes as the file has them. */
  readBytes?(name: string, begin: number, count: number): Promise<Uint8Array>;
}

export interface SourceTensor {
  readonly shape: readonly number[];
  /** The bytes it takes in its file, where it is in one. */
  readonly byteLength?: number;
}
