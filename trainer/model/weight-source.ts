/** The interface of a source of weights. */

/** Returns this many bytes, at the start of their buffer. */
export type Memory = (bytes: number) => Uint8Array<ArrayBuffer>;

/** A weight file, accessed by the names that the model uses. */
export interface WeightSource {
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** @param memory for the values; a source that converts them may allocate its own */
  readFloat32(name: string, memory?: Memory): Promise<Float32Array>;
  /** Reads bfloat16 bits; only in sources that have them without a conversion. */
  readBfloat16?(name: string, memory?: Memory): Promise<Uint16Array | undefined>;
  /** Reads `count` values of a tensor in flat order, starting at `begin`; only in sources that can read a part. */
  readPart?(name: string, begin: number, count: number): Promise<Float32Array>;
  /** Reads bytes as they are in the file, with the same range. */
  readBytes?(name: string, begin: number, count: number): Promise<Uint8Array>;
}

export interface SourceTensor {
  readonly shape: readonly number[];
  /** The size of the tensor in its file, in bytes, if it is in one. */
  readonly byteLength?: number;
  /** Set if the tensor is in the form of the model's parameter: it is not transposed, although files of the model have it transposed. */
  readonly isConverted?: true;
}
