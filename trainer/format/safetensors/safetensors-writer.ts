/** Writes safetensors as a stream: each tensor is prepared while the one before it is written. */
import { checksum } from '../../files/checksum.ts';
import { writeDurably } from '../../files/durable-file.ts';
import { writeAt } from '../../files/write-at.ts';
import { WriteBehind } from '../../files/write-behind.ts';
import { valueFor } from '../../narrow.ts';
import { ModelFileError } from '../model-file-error.ts';
import { ELEMENT_BYTES, type TensorDType } from '../tensor-source.ts';
import { checksumMetadata, sealHeader } from './safetensors-checksums.ts';

export interface TensorEntry {
  readonly name: string;
  readonly dtype: Exclude<TensorDType, 'GGML'>;
  readonly shape: readonly number[];
  /**
   * Returns the bytes as stored, little-endian, `product(shape)` × element size of them; called once, when the tensor is written. They must
   * not change until the tensor after the next is requested.
   */
  readonly data: () => Uint8Array | Promise<Uint8Array>;
}

/** Alignment in bytes: readers map the file and can then use the data in place. */
const ALIGNMENT = 8;

/**
 * Writes a file. It appears under `path` complete or not at all; an older file with that name stays until then. Sizes (`entries`) must be
 * known in advance; values are requested one by one. Each tensor and the header have a checksum.
 * @returns the checksum of the header, which represents the whole file
 * @throws ModelFileError if a name appears twice or a tensor's bytes do not match its shape; otherwise the error of the disk
 */
export async function writeSafetensors(
  path: string,
  entries: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<string> {
  const checksums = entries.map(() => 0);
  const headerOf = (): Uint8Array => buildHeader(path, entries, { ...checksumMetadata(checksums), ...metadata });
  let digits = '';
  await writeDurably(path, async handle => {
    const behind = new WriteBehind(handle, headerOf().length);
    for (const [i, entry] of entries.entries()) {
      const data = await checkedData(path, entry);
      checksums[i] = checksum(data);
      await behind.write(data);
    }
    await behind.end();
    // Written last, since it contains the checksums of the data; its length does not change.
    const header = headerOf();
    digits = sealHeader(header);
    await writeAt(handle, header, 0);
  });
  return digits;
}

/** Writes bytes of a tensor, starting at byte `begin`. */
export type PutBytes = (name: string, begin: number, bytes: Uint8Array) => Promise<void>;

/**
 * Writes values that become known in a different order from the file's: `write` puts them at their positions, and must put all of them. There
 * are no checksums.
 * @throws ModelFileError if a name appears twice; otherwise the error of `write` or of the disk
 */
export async function writeSafetensorsAnywhere(
  path: string,
  entries: readonly Omit<TensorEntry, 'data'>[],
  metadata: Readonly<Record<string, string>>,
  write: (put: PutBytes) => Promise<void>,
): Promise<void> {
  const header = buildHeader(path, entries, metadata);
  const starts = new Map<string, number>();
  let end = header.length;
  for (const entry of entries) {
    starts.set(entry.name, end);
    end += byteLengthOf(entry);
  }
  await writeDurably(path, async handle => {
    await writeAt(handle, header, 0);
    await handle.truncate(end);
    await write(async (name, begin, bytes) => {
      await writeAt(handle, bytes, valueFor(starts, name) + begin);
    });
  });
}

const byteLengthOf = (entry: Omit<TensorEntry, 'data'>): number => entry.shape.reduce((n, d) => n * d, ELEMENT_BYTES[entry.dtype]);

function buildHeader(path: string, entries: readonly Omit<TensorEntry, 'data'>[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const fields = new Map<string, unknown>();
  fields.set('__metadata__', metadata);
  let offset = 0;
  for (const entry of entries) {
    if (fields.has(entry.name))
      throw new ModelFileError(path, [{ tensor: entry.name, message: 'is to be written twice' }], 'Give every tensor its own name.');
    const end = offset + byteLengthOf(entry);
    fields.set(entry.name, { dtype: entry.dtype, shape: entry.shape, data_offsets: [offset, end] });
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(fields)));
  const length = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

async function checkedData(path: string, entry: TensorEntry): Promise<Uint8Array> {
  const data = await entry.data();
  const expected = byteLengthOf(entry);
  if (data.length !== expected) {
    const message = `is ${entry.dtype} [${entry.shape.join(', ')}], which is ${expected} bytes, but ${data.length} were given`;
    throw new ModelFileError(path, [{ tensor: entry.name, message }], 'Give the values of this shape.');
  }
  return data;
}
