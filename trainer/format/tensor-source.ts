/**
 * Named tensors of a model, whatever file holds them. They are read one at a time, so that a model larger than the heap can be processed.
 */
import { createHash } from 'node:crypto';

/** Element types, named as in safetensors; `GGML` is a block-quantized GGUF type without a fixed size per element. */
export type TensorDType =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'F8_E8M0'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL'
  | 'GGML';

export interface TensorInfo {
  readonly name: string;
  readonly dtype: TensorDType;
  /** Row-major, as in PyTorch: `[out, in]` for a linear layer. Empty for a scalar. */
  readonly shape: readonly number[];
  /** The size in its file, in bytes. */
  readonly byteLength: number;
  /** The GGUF type, for example `Q4_K`, if dtype is `GGML`. */
  readonly quantization?: string;
  /** Set if the file holds a matrix as the model uses it, which Hugging Face's files of the family transpose. */
  readonly isConverted?: true;
}

/** Returns this many bytes, at the start of their buffer. */
export type Memory = (bytes: number) => Uint8Array<ArrayBuffer>;

export interface TensorSource {
  /** The tensors in the order of the file, by Hugging Face name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Reads the values as float32, row-major, `product(shape)` of them; F64, F16, BF16 and quantized types are converted.
   * @param memory for the values if the file has them in float32; by default, memory is allocated
   * @throws ModelFileError for an unknown name, an integer type, or a file that changed or cannot be read
   */
  readFloat32(name: string, memory?: Memory): Promise<Float32Array>;
  /** Reads bfloat16 bits; undefined if the file holds another type, which would have to be rounded. */
  readBfloat16(name: string, memory?: Memory): Promise<Uint16Array | undefined>;
  /** Reads the bytes as stored (little-endian). For GGUF: blocks in the order of the file, so rows of q and k are still permuted. */
  readRaw(name: string): Promise<Uint8Array>;
  /** Reads `count` values starting at `begin`, in flat order. A part has no checksum. */
  readPart(name: string, begin: number, count: number): Promise<Float32Array>;
  /** Reads `count` bytes of the tensor as stored, starting at byte `begin`. */
  readBytes(name: string, begin: number, count: number): Promise<Uint8Array>;
  /** See {@link fingerprintTensors}. */
  fingerprint(): Promise<string>;
  close(): Promise<void>;
}

/** Bytes per element; zero for block-quantized types. */
export const ELEMENT_BYTES: Readonly<Record<TensorDType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  GGML: 0,
};

/** Tensors up to this size are hashed completely: norms and biases, which may differ only slightly. */
const HASH_WHOLE_BYTES = 16384;
/** Larger tensors are sampled at evenly spaced places: 16 × 256 bytes of each, a total of about 1 MB for a 135M model. */
const SAMPLES = 16;
const SAMPLE_BYTES = 256;

/**
 * A fingerprint of weights: sha256 over every tensor's name, type and shape (sorted by name) and over bytes sampled at fixed places of
 * each. The same weights have the same fingerprint, independent of shards, metadata and order in the file. It is fast (milliseconds) and
 * detects that an adapter is used with the wrong base. It does not detect tampering, since bytes between the samples are not read.
 * @param readBytes reads bytes of a tensor from `start` (inclusive) to `end` (exclusive), counted from the tensor's first byte
 */
export async function fingerprintTensors(
  tensors: Iterable<TensorInfo>,
  readBytes: (tensor: TensorInfo, start: number, end: number) => Promise<Uint8Array>,
): Promise<string> {
  const hash = createHash('sha256');
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const tensor of sorted) {
    hash.update(JSON.stringify([tensor.name, tensor.quantization ?? tensor.dtype, tensor.shape]));
    for (const [start, end] of sampledRanges(tensor.byteLength)) hash.update(await readBytes(tensor, start, end));
  }
  return hash.digest('hex');
}

function sampledRanges(byteLength: number): Array<[number, number]> {
  if (byteLength <= HASH_WHOLE_BYTES) return byteLength === 0 ? [] : [[0, byteLength]];
  const last = byteLength - SAMPLE_BYTES;
  return Array.from({ length: SAMPLES }, (_, i) => {
    const start = Math.floor((last * i) / (SAMPLES - 1));
    return [start, start + SAMPLE_BYTES];
  });
}
