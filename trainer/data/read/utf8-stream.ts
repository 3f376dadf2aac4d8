/** Reads text files as streams of strings and of lines: checks UTF-8, drops the byte-order mark, bounds the length of lines. */
import { TextDecoder } from 'node:util';
import { DataError } from '../data-error.ts';
import { readDataBlocks } from './data-file.ts';

/**
 * Maximum length of a line, which holds one sample. A longer line means another kind of file, and would fill the heap before it could be
 * parsed.
 */
export const MAX_LINE_CHARACTERS = 64 * 2 ** 20;

const READ_BYTES = 2 ** 20;

export interface TextLine {
  /** Line number, from 1. */
  readonly line: number;
  /** The text without its line ending. */
  readonly text: string;
}

/**
 * The text of a file in blocks of about a megabyte.
 * @param onBytes receives the number of bytes read
 * @throws DataError for bytes that are not UTF-8
 */
export async function* readUtf8(file: string, onBytes?: (bytes: number) => void): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let linesBefore = 0;
  let first = true;
  let done = 0;
  for await (const bytes of readDataBlocks(file, READ_BYTES)) {
    if (first) refuseUtf16(file, bytes);
    first = false;
    done += bytes.length;
    onBytes?.(done);
    const text = decodeBlock(decoder, file, linesBefore, bytes);
    linesBefore += countNewlines(text);
    yield text;
  }
  const rest = decodeBlock(decoder, file, linesBefore, undefined);
  if (rest !== '') yield rest;
}

/** The lines of a file, with LF or CRLF endings. @throws DataError for a line longer than MAX_LINE_CHARACTERS */
export async function* readLines(file: string, onBytes?: (bytes: number) => void): AsyncGenerator<TextLine> {
  let pending = '';
  let line = 1;
  for await (const block of readUtf8(file, onBytes)) {
    let start = 0;
    for (let end = block.indexOf('\n'); end >= 0; end = block.indexOf('\n', start)) {
      yield { line, text: withoutReturn(pending + block.slice(start, end)) };
      pending = '';
      start = end + 1;
      line++;
    }
    pending += block.slice(start);
    if (pending.length > MAX_LINE_CHARACTERS) {
      throw new DataError({
        file,
        line,
        problem: `a line of more than ${MAX_LINE_CHARACTERS / 2 ** 20} million characters`,
        advice: 'Write one sample a line (JSON Lines), or save the data as Parquet',
      });
    }
  }
  if (pending !== '') yield { line, text: withoutReturn(pending) };
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

function decodeBlock(decoder: TextDecoder, file: string, linesBefore: number, bytes: Buffer | undefined): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch (cause) {
    const valid = bytes === undefined ? 0 : countNewlines(new TextDecoder().decode(bytes).split('\uFFFD', 1)[0] ?? '');
    throw new DataError(
      { file, line: linesBefore + valid + 1, problem: 'bytes that are not UTF-8 text', advice: 'Save the file as UTF-8' },
      { cause },
    );
  }
}

function refuseUtf16(file: string, bytes: Buffer): void {
  const mark = bytes.length < 2 ? 0 : bytes.readUInt16BE(0);
  if (mark === 0xfeff || mark === 0xfffe) {
    throw new DataError({ file, line: 1, problem: 'UTF-16 text, expected UTF-8', advice: 'Save the file as UTF-8' });
  }
}

function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}
