/**
 * Reads GGUF's primitive values from bytes. It never reads past their end and never allocates for a count that the bytes cannot contain.
 */
import { NeedMoreBytes } from '../byte-file.ts';

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** Maximum nesting: the format allows arrays of arrays, but no file uses them. Keeps a hostile file from exhausting the stack. */
const MAX_ARRAY_DEPTH = 4;
/** Maximum length of a key, a token, a name or a chat template; the longest templates have about 30 KB. */
const MAX_STRING_BYTES = 4 * 1024 * 1024;

/** Maximum number of array elements in a header: four times the largest vocabulary with merges, and at most about 100 MB of memory. */
const MAX_ARRAY_VALUES = 8_000_000;
/** Memory cost of an array itself, even if empty, counted in values. */
const ARRAY_VALUES = 8;

const STRING = 8;
const ARRAY = 9;
/** Bytes of a value by type number; for a string or array, the minimum, which is its length field. */
const VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

export class GgufCursor {
  position = 0;
  readonly fail: (message: string) => never;
  private readonly bytes: Buffer;
  private readonly fileSize: number;
  private arrayValues = 0;

  /**
   * @param bytes the beginning of a file of `fileSize` bytes
   * @param fail throws the error for an invalid value
   */
  constructor(bytes: Uint8Array, fileSize: number, fail: (message: string) => never) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.fileSize = fileSize;
    this.fail = fail;
  }

  /** Fails if the file itself ends too early. @throws NeedMoreBytes if fewer than `count` bytes are left in `bytes` */
  need(count: number, what: string): void {
    if (count > this.fileSize - this.position)
      this.fail(`needs ${count} bytes for ${what} at byte ${this.position}, but has only ${this.fileSize}`);
    if (count > this.bytes.length - this.position) {
      throw new NeedMoreBytes(`${what} at byte ${this.position} need ${count} bytes, ${this.bytes.length - this.position} are there`);
    }
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4));
  }

  /** Reads a count or offset. */
  u64(what: string): number {
    const value = this.bytes.readBigUInt64LE(this.take(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${what} is ${value}, which no file can have`);
    return Number(value);
  }

  string(): string {
    const length = this.u64('the length of a string');
    if (length > MAX_STRING_BYTES) this.fail(`a string at byte ${this.position} has ${length} bytes; at most ${MAX_STRING_BYTES} are read`);
    this.need(length, 'a string');
    const start = this.take(length);
    return this.bytes.toString('utf8', start, start + length);
  }

  value(type: number, depth = 0): GgufValue {
    if (type === STRING) return this.string();
    if (type === ARRAY) return this.array(depth);
    return this.scalar(type);
  }

  private array(depth: number): GgufValue[] {
    if (depth >= MAX_ARRAY_DEPTH) this.fail(`arrays are nested deeper than ${MAX_ARRAY_DEPTH}`);
    const type = this.u32();
    const count = this.u64('the length of an array');
    const width = VALUE_BYTES[type];
    if (width === undefined) return this.fail(`an array at byte ${this.position} has the unknown value type ${type}`);
    this.arrayValues += count + ARRAY_VALUES;
    if (this.arrayValues > MAX_ARRAY_VALUES) this.fail(`its arrays hold more than ${MAX_ARRAY_VALUES} values`);
    this.need(count * width, `an array of ${count} values`);
    const values: GgufValue[] = new Array(count);
    for (let i = 0; i < count; i++) values[i] = this.value(type, depth + 1);
    return values;
  }

  private scalar(type: number): GgufValue {
    const { bytes } = this;
    switch (type) {
      case 0:
        return bytes.readUInt8(this.take(1));
      case 1:
        return bytes.readInt8(this.take(1));
      case 2:
        return bytes.readUInt16LE(this.take(2));
      case 3:
        return bytes.readInt16LE(this.take(2));
      case 4:
        return this.u32();
      case 5:
        return bytes.readInt32LE(this.take(4));
      case 6:
        return bytes.readFloatLE(this.take(4));
      case 7:
        return bytes.readUInt8(this.take(1)) !== 0;
      case 10:
        return narrow(bytes.readBigUInt64LE(this.take(8)));
      case 11:
        return narrow(bytes.readBigInt64LE(this.take(8)));
      case 12:
        return bytes.readDoubleLE(this.take(8));
      default:
        return this.fail(`the value at byte ${this.position} has the unknown type ${type}`);
    }
  }

  private take(count: number): number {
    this.need(count, 'a value');
    const start = this.position;
    this.position += count;
    return start;
  }
}

const narrow = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};
