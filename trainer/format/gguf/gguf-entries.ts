/** Entries of a GGUF file's metadata in their written form: a type and the bytes of the value. */

/** The numbers of the types in GGUF files. */
const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

export interface GgufEntry {
  readonly key: string;
  /** The type number and the value in little-endian, exactly as they follow the key in a file. */
  readonly bytes: Uint8Array;
}

const word = (write: (bytes: Buffer) => void, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  write(bytes);
  return bytes;
};
export const u32Bytes = (value: number): Buffer => word(bytes => bytes.writeUInt32LE(value), 4);
export const u64Bytes = (value: number): Buffer => word(bytes => bytes.writeBigUInt64LE(BigInt(value)), 8);
const i32Bytes = (value: number): Buffer => word(bytes => bytes.writeInt32LE(value), 4);
const f32Bytes = (value: number): Buffer => word(bytes => bytes.writeFloatLE(value), 4);

export const stringBytes = (value: string): Buffer => {
  const text = Buffer.from(value, 'utf8');
  return Buffer.concat([u64Bytes(text.length), text]);
};

const entry = (key: string, type: keyof typeof TYPES, value: Uint8Array): GgufEntry => ({
  key,
  bytes: Buffer.concat([u32Bytes(TYPES[type]), value]),
});

const list = (key: string, type: keyof typeof TYPES, values: readonly Uint8Array[]): GgufEntry =>
  entry(key, 'array', Buffer.concat([u32Bytes(TYPES[type]), u64Bytes(values.length), ...values]));

export const u32Entry = (key: string, value: number): GgufEntry => entry(key, 'u32', u32Bytes(value));
export const f32Entry = (key: string, value: number): GgufEntry => entry(key, 'f32', f32Bytes(value));
export const boolEntry = (key: string, value: boolean): GgufEntry => entry(key, 'bool', Uint8Array.of(value ? 1 : 0));
export const stringEntry = (key: string, value: string): GgufEntry => entry(key, 'string', stringBytes(value));
export const stringsEntry = (key: string, values: readonly string[]): GgufEntry => list(key, 'string', values.map(stringBytes));
export const f32sEntry = (key: string, values: readonly number[]): GgufEntry => list(key, 'f32', values.map(f32Bytes));
export const i32sEntry = (key: string, values: readonly number[]): GgufEntry => list(key, 'i32', values.map(i32Bytes));
export const boolsEntry = (key: string, values: readonly boolean[]): GgufEntry =>
  list(
    key,
    'bool',
    values.map(value => Uint8Array.of(value ? 1 : 0)),
  );
