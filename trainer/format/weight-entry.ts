/** One tensor in a weight file: its position and its values. */

import { checksum, MISMATCH, MISMATCH_REMEDY } from '../files/checksum.ts';
import type { ByteFile } from './byte-file.ts';
import { bf16ToFloat32, f16ToFloat32 } from './float-format.ts';
import { ModelFileError } from './model-file-error.ts';
import { ELEMENT_BYTES, type Memory, type TensorInfo } from './tensor-source.ts';

/** Size of the conversion buffer: large enough for full disk speed, small compared with any model. */
const CONVERT_BYTES = 4 * 1024 * 1024;

/** A tensor and its position in the file. */
export interface WeightEntry extends TensorInfo {
  /** Offset from the start of the file. */
  readonly position: number;
  /** Strides in elements, one per dimension, if the file does not store the tensor row by row. */
  readonly strides?: readonly number[];
  /** The checksum of its bytes, if the file has one; verified when the whole tensor is read. */
  readonly checksum?: number;
}

/** A range of a row-major tensor as a tensor of its own, without a checksum, which covers the whole tensor. */
export function partOf({ name, dtype, position }: WeightEntry, begin: number, count: number): WeightEntry {
  const width = ELEMENT_BYTES[dtype];
  return { name, dtype, shape: [count], position: position + begin * width, byteLength: count * width };
}

/** @throws ModelFileError for a type that is not floating point, and for bytes that do not match their checksum */
export async function readAsFloat32(file: ByteFile, entry: WeightEntry, memory?: Memory): Promise<Float32Array> {
  const count = entry.shape.reduce((n, d) => n * d, 1);
  switch (entry.dtype) {
    case 'F32':
      return new Float32Array((await readBytes(file, entry, memory)).buffer, 0, count);
    case 'BF16':
      return convertChunks(file, entry, count, (bytes, out) => bf16ToFloat32(new Uint16Array(bytes.buffer, 0, out.length), out));
    case 'F16':
      return convertChunks(file, entry, count, (bytes, out) => f16ToFloat32(new Uint16Array(bytes.buffer, 0, out.length), out));
    case 'F64':
      return convertChunks(file, entry, count, (bytes, out) => out.set(new Float64Array(bytes.buffer, 0, out.length)));
    default:
      throw new ModelFileError(
        file.path,
        [{ tensor: entry.name, message: `is ${entry.dtype}, which is not read as floating-point weights` }],
        'Convert the weights to F32, F16 or BF16.',
      );
  }
}

/** Returns undefined for any other type. */
export async function readAsBfloat16(file: ByteFile, entry: WeightEntry, memory?: Memory): Promise<Uint16Array | undefined> {
  if (entry.dtype !== 'BF16') return undefined;
  return new Uint16Array((await readBytes(file, entry, memory)).buffer, 0, entry.byteLength / ELEMENT_BYTES.BF16);
}

const newMemory: Memory = bytes => new Uint8Array(bytes);

/** Reads bytes in row-major order, whatever the order in the file. */
export async function readBytes(file: ByteFile, entry: WeightEntry, memory = newMemory): Promise<Uint8Array<ArrayBuffer>> {
  const { shape, strides, position, byteLength } = entry;
  const out = memory(byteLength);
  if (strides === undefined || byteLength === 0) {
    await file.readInto(out, position);
    compare(file, entry, checksum(out));
    return out;
  }
  const width = ELEMENT_BYTES[entry.dtype];
  const span = await file.read(position, width * shape.reduce((last, size, i) => last + (size - 1) * (strides[i] ?? 0), 1));
  const at = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < byteLength; to += width) {
    for (let byte = 0; byte < width; byte++) out[to + byte] = span[from + byte] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = width * (strides[axis] as number);
      at[axis] = (at[axis] as number) + 1;
      from += stride;
      if ((at[axis] as number) < (shape[axis] as number)) break;
      from -= stride * (shape[axis] as number);
      at[axis] = 0;
    }
  }
  return out;
}

/** Reads a whole tensor only to verify its checksum. Returns false if the file has none. @throws ModelFileError if it does not match */
export async function verifyBytes(file: ByteFile, entry: WeightEntry): Promise<boolean> {
  if (entry.checksum === undefined) return false;
  const scratch = new Uint8Array(Math.min(entry.byteLength, CONVERT_BYTES));
  let found = 0;
  for (let done = 0; done < entry.byteLength; done += scratch.length) {
    const bytes = scratch.subarray(0, Math.min(scratch.length, entry.byteLength - done));
    await file.readInto(bytes, entry.position + done);
    found = checksum(bytes, found);
  }
  compare(file, entry, found);
  return true;
}

function compare({ path }: ByteFile, { name, checksum: expected }: WeightEntry, found: number): void {
  if (expected === undefined || found === expected) return;
  throw new ModelFileError(path, [{ tensor: name, message: MISMATCH }], MISMATCH_REMEDY);
}

/** Converts a tensor in chunks: `convert` gets a buffer that starts at offset 0 of its memory, and the part of the result to fill. */
async function convertChunks(
  file: ByteFile,
  entry: WeightEntry,
  count: number,
  convert: (bytes: Uint8Array<ArrayBuffer>, out: Float32Array) => void,
): Promise<Float32Array> {
  const out = new Float32Array(count);
  if (count === 0) return out;
  if (entry.strides !== undefined) {
    convert(await readBytes(file, entry), out);
    return out;
  }
  const width = entry.byteLength / count;
  const perChunk = CONVERT_BYTES / width;
  const scratch = new Uint8Array(Math.min(entry.byteLength, CONVERT_BYTES));
  let found = 0;
  for (let done = 0; done < count; done += perChunk) {
    const n = Math.min(perChunk, count - done);
    const bytes = scratch.subarray(0, n * width);
    await file.readInto(bytes, entry.position + done * width);
    found = checksum(bytes, found);
    convert(scratch, out.subarray(done, done + n));
  }
  compare(file, entry, found);
  return out;
}
