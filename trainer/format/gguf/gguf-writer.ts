/** Writes a GGUF file (version 3) as a stream, with one tensor in memory at a time. */
import { writeDurably } from '../../files/durable-file.ts';
import { writeAt } from '../../files/write-at.ts';
import { ModelFileError } from '../model-file-error.ts';
import { type GgufEntry, stringBytes, u32Bytes, u64Bytes } from './gguf-entries.ts';
import type { GgufType } from './gguf-types.ts';

/** Alignment of tensors: the format's default, so no metadata entry is needed. */
const ALIGNMENT = 32;
const MAGIC = 'GGUF';
const VERSION = 3;

export interface GgufTensorEntry {
  /** llama.cpp's name. */
  readonly name: string;
  readonly type: GgufType;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  /** Returns the blocks in the order of the file; called once, when the tensor is written. */
  readonly data: () => Promise<Uint8Array>;
}

export const ggufTensorBytes = ({ type, shape }: Pick<GgufTensorEntry, 'type' | 'shape'>): number =>
  (shape.reduce((n, d) => n * d, 1) / type.blockElements) * type.blockBytes;

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function headerOf(metadata: readonly GgufEntry[], tensors: readonly GgufTensorEntry[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(MAGIC), u32Bytes(VERSION), u64Bytes(tensors.length), u64Bytes(metadata.length)];
  for (const { key, bytes } of metadata) parts.push(stringBytes(key), bytes);
  let offset = 0;
  for (const tensor of tensors) {
    const { name, type, shape } = tensor;
    parts.push(stringBytes(name), u32Bytes(shape.length), ...[...shape].reverse().map(u64Bytes), u32Bytes(type.id), u64Bytes(offset));
    offset += padded(ggufTensorBytes(tensor));
  }
  const length = parts.reduce((n, part) => n + part.length, 0);
  return Buffer.concat([...parts, Buffer.alloc(padded(length) - length)]);
}

/**
 * Writes a file. It appears under `path` complete or not at all.
 * @throws ModelFileError if a tensor's bytes do not match its shape; otherwise the error of the disk
 */
export async function writeGguf(path: string, metadata: readonly GgufEntry[], tensors: readonly GgufTensorEntry[]): Promise<void> {
  await writeDurably(path, async handle => {
    let position = await writeAt(handle, headerOf(metadata, tensors), 0);
    for (const tensor of tensors) {
      const data = await tensor.data();
      const expected = ggufTensorBytes(tensor);
      if (data.length !== expected) {
        const message = `is ${tensor.type.name} [${tensor.shape.join(', ')}], which is ${expected} bytes, but ${data.length} were given`;
        throw new ModelFileError(path, [{ tensor: tensor.name, message }], 'Give the values of this shape.');
      }
      position = await writeAt(handle, data, position);
      position = await writeAt(handle, Buffer.alloc(padded(position) - position), position);
    }
  });
}
