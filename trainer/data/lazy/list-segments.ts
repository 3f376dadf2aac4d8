/** Finds the objects of a list in a JSON file by scanning its bytes, so that each can be read by its position. */
import { closeSync } from 'node:fs';
import { openRegular, readAt } from './read-at.ts';
import { FoundRecords, NoPlacesError, type RangedSegment } from './record-ranges.ts';

const READ_BYTES = 4 * 2 ** 20;
const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);
const [NEWLINE, QUOTE, COMMA, BACKSLASH] = [0x0a, 0x22, 0x2c, 0x5c];
const [LIST, LIST_END, OBJECT, OBJECT_END] = [0x5b, 0x5d, 0x7b, 0x7d];
/** Space, tab, line feed, carriage return. */
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, NEWLINE, 0x0d]);

/** The next token that may follow outside of objects. */
type Expected = 'list' | 'first' | 'separator' | 'object' | 'nothing';

/**
 * Yields the segments of a list, in order. Scans only brackets and strings; parsing shows later whether an object is well-formed.
 * @param segmentBytes minimum size of a segment, except the last
 * @param readBytes size of a block that is read at once
 * @throws NoPlacesError from reading a file that is anything but a list of objects from the first byte to the last
 */
export function* listSegments(file: string, segmentBytes: number, readBytes = READ_BYTES): Generator<RangedSegment> {
  const found = new FoundRecords(file, { isList: true });
  const objects = new ObjectFinder(found, file);
  const handle = openRegular(file);
  try {
    for (let at = 0; ; ) {
      const bytes = readAt(handle, at, readBytes);
      if (bytes.length === 0) break;
      objects.take(bytes, at);
      at += bytes.length;
      if (found.bytes >= segmentBytes) yield found.segment();
    }
  } finally {
    closeSync(handle);
  }
  if (!objects.isWhole) throw noList(file);
  if (found.bytes > 0) yield found.segment();
}

/** Scans the bytes of a file in blocks, which may end anywhere. */
class ObjectFinder {
  private readonly found: FoundRecords;
  private readonly file: string;
  private expected: Expected = 'list';
  /** Number of open brackets of an object; 0 outside of objects. */
  private depth = 0;
  private isInString = false;
  /** Whether the next byte of a string is escaped. */
  private isEscaped = false;
  private start = 0;
  private startLine = 1;
  private line = 1;

  constructor(found: FoundRecords, file: string) {
    this.found = found;
    this.file = file;
  }

  get isWhole(): boolean {
    return this.expected === 'nothing';
  }

  /** Scans a block. @param at offset of the block in the file */
  take(bytes: Buffer, at: number): void {
    for (let i = 0; i < bytes.length; ) {
      if (this.isInString) i = this.string(bytes, i);
      else if (this.depth > 0) i = this.object(bytes, i, at);
      else this.between(bytes[i++] ?? 0, at + i - 1);
    }
  }

  /** Advances past the end of a string, or to the end of the block. */
  private string(bytes: Buffer, from: number): number {
    let i = from;
    if (this.isEscaped) {
      this.isEscaped = false;
      i++;
    }
    while (i < bytes.length) {
      const quote = bytes.indexOf(QUOTE, i);
      const end = quote < 0 ? bytes.length : quote;
      let slashes = 0;
      while (end - slashes > i && bytes[end - slashes - 1] === BACKSLASH) slashes++;
      const isEscaped = slashes % 2 === 1;
      if (quote < 0) {
        this.isEscaped = isEscaped;
        return end;
      }
      i = quote + 1;
      if (isEscaped) continue;
      this.isInString = false;
      return i;
    }
    return i;
  }

  /** Advances to the start of the next string in an object, past the end of the object, or to the end of the block. */
  private object(bytes: Buffer, from: number, at: number): number {
    let i = from;
    while (i < bytes.length) {
      const byte = bytes[i++];
      if (byte === QUOTE) {
        this.isInString = true;
        return i;
      }
      if (byte === NEWLINE) this.line++;
      else if (byte === OBJECT || byte === LIST) this.depth++;
      else if ((byte === OBJECT_END || byte === LIST_END) && --this.depth === 0) {
        this.found.add(this.start, at + i - this.start, this.startLine);
        return i;
      }
    }
    return i;
  }

  private between(byte: number, place: number): void {
    if (byte === NEWLINE) this.line++;
    const { expected } = this;
    if (SPACES.has(byte) || (expected === 'list' && byte === BYTE_ORDER_MARK[place])) return;
    if (expected === 'list' && byte === LIST) this.expected = 'first';
    else if ((expected === 'first' || expected === 'separator') && byte === LIST_END) this.expected = 'nothing';
    else if (expected === 'separator' && byte === COMMA) this.expected = 'object';
    else if ((expected === 'first' || expected === 'object') && byte === OBJECT) {
      [this.depth, this.start, this.startLine, this.expected] = [1, place, this.line, 'separator'];
    } else throw noList(this.file);
  }
}

const noList = (file: string): NoPlacesError => new NoPlacesError(`${file} is JSON, but no list of objects`);
