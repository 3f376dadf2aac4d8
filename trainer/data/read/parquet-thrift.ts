/** Walks the structs of Parquet (Thrift's compact protocol) without building them: hyparquet would allocate whatever a file declares. */

/** Types of the protocol. */
const TYPE = { stop: 0, true: 1, false: 2, byte: 3, i16: 4, i32: 5, i64: 6, double: 7, binary: 8, list: 9, struct: 12 } as const;

/** Maximum nesting depth; the schema and statistics nest six deep. */
const MAX_DEPTH = 16;
/**
 * Maximum number of values, each of which becomes a value in memory. A thousand columns in a thousand row groups have about 30 million;
 * such a file is better split.
 */
const MAX_VALUES = 8_000_000;
/** Maximum number of bytes of a 64-bit integer. */
const MAX_VARINT_BYTES = 10;

/** The integers and structs of a struct, by field number; lists and texts are only checked. */
export interface ThriftFields {
  readonly integers: ReadonlyMap<number, number>;
  readonly structs: ReadonlyMap<number, ThriftFields>;
}

/** A field of a struct with the bytes of its value. */
export interface ThriftField {
  readonly id: number;
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Returns the fields of a struct. @throws Error as `ThriftWalk.struct` does */
export const fieldsOf = (struct: Uint8Array): ThriftField[] => new ThriftWalk(struct).fields();

/** Returns the structs of a field that is a list of structs. @throws Error if the field is of another type, or missing */
export function structsOf(fields: readonly ThriftField[], id: number): Uint8Array[] {
  const list = fields.find(field => field.id === id && field.type === TYPE.list);
  if (list === undefined) throw new Error(`its metadata has no list in the field ${id}`);
  return new ThriftWalk(list.bytes).structs();
}

/** Returns the bytes of a struct. @param fields in ascending order of their ids */
export function structOf(fields: readonly ThriftField[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let before = 0;
  for (const { id, type, bytes } of fields) {
    const step = id - before;
    parts.push(Uint8Array.from(step < 16 ? [(step << 4) | type] : [type, ...varint(2 * id)]), bytes);
    before = id;
  }
  return Buffer.concat([...parts, Uint8Array.of(TYPE.stop)]);
}

export const structField = (id: number, fields: readonly ThriftField[]): ThriftField => ({
  id,
  type: TYPE.struct,
  bytes: structOf(fields),
});

export function listField(id: number, structs: readonly Uint8Array[]): ThriftField {
  const count = structs.length;
  const head = count < 15 ? [(count << 4) | TYPE.struct] : [0xf0 | TYPE.struct, ...varint(count)];
  return { id, type: TYPE.list, bytes: Buffer.concat([Uint8Array.from(head), ...structs]) };
}

/** Returns an integer field. @param value at least 0 */
export const integerField = (id: number, value: number, type: 'i32' | 'i64'): ThriftField => ({
  id,
  type: TYPE[type],
  bytes: Uint8Array.from(varint(2 * value)),
});

/** Returns a varint: seven bits per byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

export class ThriftWalk {
  /** Offset after the last struct. */
  position: number;
  private readonly bytes: Uint8Array;
  private values = 0;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  /** Reads a struct. @throws Error for a struct that ends after the bytes, nests too deep, or has more values than any file needs */
  struct(depth = 0): ThriftFields {
    if (depth > MAX_DEPTH) throw new Error(`its metadata nests more than ${MAX_DEPTH} levels deep`);
    const integers = new Map<number, number>();
    const structs = new Map<number, ThriftFields>();
    for (let field = 0; ; ) {
      const head = this.byte();
      const type = head & 0x0f;
      if (type === TYPE.stop) return { integers, structs };
      field = head >> 4 === 0 ? this.integer() : field + (head >> 4);
      if (type === TYPE.i16 || type === TYPE.i32 || type === TYPE.i64) integers.set(field, this.integer());
      else if (type === TYPE.struct) structs.set(field, this.struct(depth + 1));
      else if (type !== TYPE.true && type !== TYPE.false) this.skip(type, depth);
      this.count(1);
    }
  }

  /** The fields of a struct that begins here, without reading their values. @throws Error as `struct` does */
  fields(): ThriftField[] {
    const found: ThriftField[] = [];
    for (let id = 0; ; ) {
      const head = this.byte();
      const type = head & 0x0f;
      if (type === TYPE.stop) return found;
      id = head >> 4 === 0 ? this.integer() : id + (head >> 4);
      const start = this.position;
      if (type !== TYPE.true && type !== TYPE.false) this.skip(type, 0);
      found.push({ id, type, bytes: this.bytes.subarray(start, this.position) });
    }
  }

  /** The structs of a list that begins here. @throws Error for a list of other values, or one that ends after the bytes */
  structs(): Uint8Array[] {
    const head = this.byte();
    if ((head & 0x0f) !== TYPE.struct) throw new Error('its metadata has a list of other values than structs');
    const size = head >> 4 === 15 ? this.varint() : head >> 4;
    const found: Uint8Array[] = [];
    for (let i = 0; i < size; i++) {
      const start = this.position;
      this.struct(1);
      found.push(this.bytes.subarray(start, this.position));
    }
    return found;
  }

  private skip(type: number, depth: number): void {
    if (type === TYPE.struct) this.struct(depth + 1);
    else if (type === TYPE.list) this.list(depth + 1);
    else if (type === TYPE.true || type === TYPE.false || type === TYPE.byte) this.take(1);
    else if (type === TYPE.double) this.take(8);
    else if (type === TYPE.binary) this.take(this.varint());
    else if (type === TYPE.i16 || type === TYPE.i32 || type === TYPE.i64) this.integer();
    else throw new Error(`its metadata has a value of the unknown type ${type}`);
  }

  private list(depth: number): void {
    if (depth > MAX_DEPTH) throw new Error(`its metadata nests more than ${MAX_DEPTH} levels deep`);
    const head = this.byte();
    const size = head >> 4 === 15 ? this.varint() : head >> 4;
    // Each element takes at least a byte.
    if (size > this.bytes.length - this.position)
      throw new Error(`its metadata has a list of ${size} values in ${this.bytes.length - this.position} bytes`);
    this.count(size);
    for (let i = 0; i < size; i++) this.skip(head & 0x0f, depth);
  }

  private count(values: number): void {
    this.values += values;
    if (this.values > MAX_VALUES) throw new Error(`its metadata has more than ${MAX_VALUES} values`);
  }

  private byte(): number {
    this.take(1);
    return this.bytes[this.position - 1] as number;
  }

  private take(count: number): void {
    if (count > this.bytes.length - this.position) throw new Error('its metadata ends too early');
    this.position += count;
  }

  private varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new Error('its metadata has an integer that does not end');
  }

  /** Decodes zigzag: 0, −1, 1, −2 … */
  private integer(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
