/** The structs of Parquet (Thrift's compact protocol), walked without building them: hyparquet allocates what a file claims. */

/** Types of the protocol. */
const TYPE = { stop: 0, true: 1, false: 2, byte: 3, i16: 4, i32: 5, i64: 6, double: 7, binary: 8, list: 9, struct: 12 } as const;

/** The schema and statistics nest six deep. */
const MAX_DEPTH = 16;
/** Each becomes a value in memory. A thousand columns in a thousand row groups have some 30 million; such a file is better split. */
const MAX_VALUES = 8_000_000;
/** Bytes of a 64-bit integer. */
const MAX_VARINT_BYTES = 10;

/** The integers and structs of a struct, by field number; lists and texts are only checked. */
export interface ThriftFields {
  readonly integers: ReadonlyMap<number, number>;
  readonly structs: ReadonlyMap<number, ThriftFields>;
}

interface StructPlaces {
  /** The head of the list. */
  readonly list: number;
  /** The first element. */
  readonly first: number;
  /** The end of each element. */
  readonly ends: readonly number[];
}

/** Returns a struct of which a list of structs keeps only its first elements. @throws Error if it has no such list, or fewer elements */
export function trimmedList(struct: Uint8Array, field: number, count: number): Uint8Array {
  const places = new ThriftWalk(struct).structsOf(field);
  const [kept, all] = [count === 0 ? places?.first : places?.ends[count - 1], places?.ends.at(-1) ?? places?.first];
  if (places === undefined || kept === undefined || all === undefined) throw new Error(`its metadata has no list of ${count} structs`);
  const head = count < 15 ? [(count << 4) | TYPE.struct] : [0xf0 | TYPE.struct, ...varint(count)];
  return Buffer.concat([struct.subarray(0, places.list), Uint8Array.from(head), struct.subarray(places.first, kept), struct.subarray(all)]);
}

/** Seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

export class ThriftWalk {
  /** Behind the last struct. */
  position: number;
  readonly #bytes: Uint8Array;
  #values = 0;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.position = position;
  }

  /** @throws Error for a struct that ends behind the bytes, nests too deep, or has more values than any file needs */
  struct(depth = 0): ThriftFields {
    if (depth > MAX_DEPTH) throw new Error(`its metadata nests more than ${MAX_DEPTH} levels deep`);
    const integers = new Map<number, number>();
    const structs = new Map<number, ThriftFields>();
    for (let field = 0; ; ) {
      const head = this.#byte();
      const type = head & 0x0f;
      if (type === TYPE.stop) return { integers, structs };
      field = head >> 4 === 0 ? this.#integer() : field + (head >> 4);
      if (type === TYPE.i16 || type === TYPE.i32 || type === TYPE.i64) integers.set(field, this.#integer());
      else if (type === TYPE.struct) structs.set(field, this.struct(depth + 1));
      else if (type !== TYPE.true && type !== TYPE.false) this.#skip(type, depth);
      this.#count(1);
    }
  }

  /** The places of the elements of a list of structs, the field of a struct that begins here; undefined if it has no such field. */
  structsOf(wanted: number): StructPlaces | undefined {
    for (let field = 0; ; ) {
      const head = this.#byte();
      const type = head & 0x0f;
      if (type === TYPE.stop) return undefined;
      field = head >> 4 === 0 ? this.#integer() : field + (head >> 4);
      if (field === wanted && type === TYPE.list) return this.#places();
      if (type !== TYPE.true && type !== TYPE.false) this.#skip(type, 0);
    }
  }

  #places(): StructPlaces {
    const list = this.position;
    const head = this.#byte();
    if ((head & 0x0f) !== TYPE.struct) throw new Error('its metadata has a list of other values than structs');
    const size = head >> 4 === 15 ? this.#varint() : head >> 4;
    const first = this.position;
    const ends: number[] = [];
    for (let i = 0; i < size; i++) {
      this.struct(1);
      ends.push(this.position);
    }
    return { list, first, ends };
  }

  #skip(type: number, depth: number): void {
    if (type === TYPE.struct) this.struct(depth + 1);
    else if (type === TYPE.list) this.#list(depth + 1);
    else if (type === TYPE.true || type === TYPE.false || type === TYPE.byte) this.#take(1);
    else if (type === TYPE.double) this.#take(8);
    else if (type === TYPE.binary) this.#take(this.#varint());
    else if (type === TYPE.i16 || type === TYPE.i32 || type === TYPE.i64) this.#integer();
    else throw new Error(`its metadata has a value of the unknown type ${type}`);
  }

  #list(depth: number): void {
    if (depth > MAX_DEPTH) throw new Error(`its metadata nests more than ${MAX_DEPTH} levels deep`);
    const head = this.#byte();
    const size = head >> 4 === 15 ? this.#varint() : head >> 4;
    // Each element takes a byte or more.
    if (size > this.#bytes.length - this.position)
      throw new Error(`its metadata has a list of ${size} values in ${this.#bytes.length - this.position} bytes`);
    this.#count(size);
    for (let i = 0; i < size; i++) this.#skip(head & 0x0f, depth);
  }

  #count(values: number): void {
    this.#values += values;
    if (this.#values > MAX_VALUES) throw new Error(`its metadata has more than ${MAX_VALUES} values`);
  }

  #byte(): number {
    this.#take(1);
    return this.#bytes[this.position - 1] as number;
  }

  #take(count: number): void {
    if (count > this.#bytes.length - this.position) throw new Error('its metadata ends too early');
    this.position += count;
  }

  #varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new Error('its metadata has an integer that does not end');
  }

  /** Zigzag: 0, −1, 1, −2 … */
  #integer(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
