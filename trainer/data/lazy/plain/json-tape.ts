/**
 * Scans JSON bytes without creating values. The result is a tape with the positions of texts and the ends of lists and objects. It accepts
 * less than `JSON.parse`: input that it accepts would be parsed to the same values, and input that it rejects is left to `JSON.parse`.
 */
import type { TextPlace } from '../decide/word-bounds.ts';

export const OBJECT = 1;
export const LIST = 2;
export const TEXT = 3;
/** The kind of a number, true, false or null. */
export const WORD = 4;

const [TAB, NEWLINE, RETURN, SPACE, QUOTE, COMMA, MINUS, PLUS, DOT] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x2d, 0x2b, 0x2e];
const [ZERO, NINE, COLON, BACKSLASH] = [0x30, 0x39, 0x3a, 0x5c];
const [LIST_BEGIN, LIST_END, OBJECT_BEGIN, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];
const [LOWER_E, UPPER_E] = [0x65, 0x45];
/** Maximum nesting depth; deeper values are left to `JSON.parse`. */
const MAX_DEPTH = 16;
/** Maximum number of keys of an object, which bounds the comparison of keys with each other; larger objects are left to `JSON.parse`. */
const MAX_KEYS = 32;

/** The same byte four times in one integer. */
const [ONES, SPACES, QUOTES, BACKSLASHES, HIGH_BITS] = [0x01010101, 0x20202020, 0x22222222, 0x5c5c5c5c, 0x80808080 | 0];

/** Escapes of one character that stand for one byte. */
const SIMPLE_ESCAPES = flagsOf('"\\/bfnrt');
const WORDS = ['true', 'false', 'null'].map(word => Buffer.from(word));
const NULL = Buffer.from('null');

function flagsOf(characters: string): Uint8Array {
  const flags = new Uint8Array(256);
  for (const byte of Buffer.from(characters)) flags[byte] = 1;
  return flags;
}

export class JsonTape {
  private bytes: Buffer = Buffer.alloc(0);
  /** The memory of the bytes as 32-bit integers; `shift` is the number of its bytes before the first one. */
  private fours: Int32Array = new Int32Array(0);
  private shift = 0;
  private at = 0;
  private end = 0;
  private size = 0;
  private readonly kinds: number[] = [];
  /** Byte range of an entry; for a text, the range inside its quotes. */
  private readonly froms: number[] = [];
  private readonly tos: number[] = [];
  /** For a text, the number of bytes that its escapes save in UTF-8; for an object or list, the next entry after its contents. */
  private readonly details: number[] = [];

  /**
   * True if the bytes, which must be UTF-8, are one value that is supported here. Its entry is 0. Entries are valid until the next call.
   */
  read(bytes: Buffer, from: number, to: number): boolean {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      this.fours = new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2);
      this.shift = bytes.byteOffset;
    }
    this.at = from;
    this.end = to;
    this.size = 0;
    if (!this.value(0)) return false;
    this.skipSpace();
    return this.at === to;
  }

  /** The bytes that were read. */
  get source(): Buffer {
    return this.bytes;
  }

  kind(entry: number): number {
    return this.kinds[entry] as number;
  }

  /** The next entry after an entry and its contents. */
  behind(entry: number): number {
    return (this.kinds[entry] as number) <= LIST ? (this.details[entry] as number) : entry + 1;
  }

  /** The length of a text in UTF-8 bytes. */
  byteLength(entry: number): number {
    return (this.tos[entry] as number) - (this.froms[entry] as number) - (this.details[entry] as number);
  }

  /** The first byte of a text if it is a visible ASCII character that is not escaped; otherwise 0. */
  firstByte(entry: number): number {
    const byte = this.byteLength(entry) === 0 ? 0 : (this.bytes[this.froms[entry] as number] as number);
    return byte > SPACE && byte < 0x7f && byte !== BACKSLASH ? byte : 0;
  }

  text(entry: number): string {
    const [from, to] = [this.froms[entry] as number, this.tos[entry] as number];
    if (this.details[entry] === 0) return this.bytes.toString('utf8', from, to);
    const value: unknown = JSON.parse(this.bytes.toString('utf8', from - 1, to + 1));
    return String(value);
  }

  /** The value of a text or a word. */
  scalar(entry: number): unknown {
    if (this.kinds[entry] === TEXT) return this.text(entry);
    return JSON.parse(this.bytes.toString('latin1', this.froms[entry], this.tos[entry]));
  }

  isNull(entry: number): boolean {
    return this.kinds[entry] === WORD && this.hasBytes(entry, NULL);
  }

  /** True if a text without escapes, or a word, equals these bytes. */
  hasBytes(entry: number, expected: Uint8Array): boolean {
    const from = this.froms[entry] as number;
    if ((this.tos[entry] as number) - from !== expected.length) return false;
    for (let i = 0; i < expected.length; i++) if (this.bytes[from + i] !== expected[i]) return false;
    return true;
  }

  /** The range of a text in `source`. */
  place(entry: number): TextPlace {
    return { from: this.froms[entry] as number, to: this.tos[entry] as number, hasEscapes: this.details[entry] !== 0 };
  }

  private push(kind: number, from: number, to: number, detail: number): number {
    const entry = this.size++;
    this.kinds[entry] = kind;
    this.froms[entry] = from;
    this.tos[entry] = to;
    this.details[entry] = detail;
    return entry;
  }

  private skipSpace(): void {
    const { bytes, end } = this;
    let { at } = this;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte !== SPACE && byte !== TAB && byte !== NEWLINE && byte !== RETURN) break;
    }
    this.at = at;
  }

  /** The next byte after white space; −1 at the end. */
  private next(): number {
    if (this.at < this.end && (this.bytes[this.at] as number) <= SPACE) this.skipSpace();
    return this.at < this.end ? (this.bytes[this.at] as number) : -1;
  }

  private value(depth: number): boolean {
    const byte = this.next();
    if (byte === QUOTE) return this.string();
    if (byte === OBJECT_BEGIN) return depth < MAX_DEPTH && this.object(depth + 1);
    if (byte === LIST_BEGIN) return depth < MAX_DEPTH && this.list(depth + 1);
    return byte === MINUS || isDigit(byte) ? this.number() : this.word();
  }

  private string(): boolean {
    const { bytes, end } = this;
    const from = this.at + 1;
    let escapes = 0;
    for (let at = this.skipSigns(from); at < end; at = this.skipSigns(at)) {
      const byte = bytes[at] as number;
      if (byte === QUOTE) {
        this.push(TEXT, from, at, escapes);
        this.at = at + 1;
        return true;
      }
      if (byte !== BACKSLASH || SIMPLE_ESCAPES[bytes[at + 1] as number] !== 1) return false;
      escapes++;
      at += 2;
    }
    return false;
  }

  /** Finds the next quote, backslash or control character, or the end. Tests four bytes at a time in one integer. */
  private skipSigns(from: number): number {
    const { bytes, end, fours, shift } = this;
    let at = from;
    while (((at + shift) & 3) !== 0)
      if (at < end && isSign(bytes[at] as number)) at++;
      else return at;
    let four = (at + shift) >> 2;
    const last = (end + shift) >> 2;
    for (; four < last; four++) {
      const value = fours[four] as number;
      const [quotes, slashes] = [value ^ QUOTES, value ^ BACKSLASHES];
      // Nonzero if some byte is zero or below a space, as in "Bit Twiddling Hacks" (Sean Eron Anderson).
      const found = ((quotes - ONES) & ~quotes) | ((slashes - ONES) & ~slashes) | ((value - SPACES) & ~value);
      if ((found & HIGH_BITS) !== 0) break;
    }
    at = 4 * four - shift;
    while (at < end && isSign(bytes[at] as number)) at++;
    return at;
  }

  private object(depth: number): boolean {
    const entry = this.push(OBJECT, this.at++, 0, 0);
    if (this.next() === OBJECT_END) return this.close(entry);
    const keys: number[] = [];
    for (;;) {
      if (this.next() !== QUOTE) return false;
      const key = this.size;
      if (!this.string() || this.details[key] !== 0 || keys.length === MAX_KEYS || this.isAmong(keys, key)) return false;
      keys.push(key);
      if (this.next() !== COLON) return false;
      this.at++;
      if (!this.value(depth)) return false;
      const byte = this.next();
      if (byte === OBJECT_END) return this.close(entry);
      if (byte !== COMMA) return false;
      this.at++;
    }
  }

  private list(depth: number): boolean {
    const entry = this.push(LIST, this.at++, 0, 0);
    if (this.next() === LIST_END) return this.close(entry);
    for (;;) {
      if (!this.value(depth)) return false;
      const byte = this.next();
      if (byte === LIST_END) return this.close(entry);
      if (byte !== COMMA) return false;
      this.at++;
    }
  }

  private close(entry: number): boolean {
    this.at++;
    this.tos[entry] = this.at;
    this.details[entry] = this.size;
    return true;
  }

  /** True if a key has the same bytes as one of these keys. */
  private isAmong(keys: readonly number[], key: number): boolean {
    const [from, to] = [this.froms[key] as number, this.tos[key] as number];
    for (const other of keys) {
      const start = this.froms[other] as number;
      if ((this.tos[other] as number) - start !== to - from) continue;
      let same = 0;
      while (same < to - from && this.bytes[start + same] === this.bytes[from + same]) same++;
      if (same === to - from) return true;
    }
    return false;
  }

  private number(): boolean {
    const from = this.at;
    if (this.bytes[this.at] === MINUS) this.at++;
    const first = this.at;
    if (!this.digits() || (this.bytes[first] === ZERO && this.at > first + 1)) return false;
    if (this.at < this.end && this.bytes[this.at] === DOT) {
      this.at++;
      if (!this.digits()) return false;
    }
    const byte = this.at < this.end ? this.bytes[this.at] : undefined;
    if (byte === LOWER_E || byte === UPPER_E) {
      const sign = this.bytes[++this.at];
      if (sign === MINUS || sign === PLUS) this.at++;
      if (!this.digits()) return false;
    }
    this.push(WORD, from, this.at, 0);
    return true;
  }

  /** Advances past digits. @returns whether there are any */
  private digits(): boolean {
    const from = this.at;
    while (this.at < this.end && isDigit(this.bytes[this.at] as number)) this.at++;
    return this.at > from;
  }

  private word(): boolean {
    const from = this.at;
    for (const word of WORDS) {
      if (this.end - from < word.length) continue;
      let same = 0;
      while (same < word.length && this.bytes[from + same] === word[same]) same++;
      if (same < word.length) continue;
      this.at += word.length;
      this.push(WORD, from, this.at, 0);
      return true;
    }
    return false;
  }
}

/** True if a byte of a text stands for itself. */
const isSign = (byte: number): boolean => byte !== QUOTE && byte !== BACKSLASH && byte >= SPACE;

const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE;
