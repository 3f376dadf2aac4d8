/** A page of lines of a file that another process appends to. */
import { type FileHandle, open } from 'node:fs/promises';
import type { TailResult } from '../protocol/rpc-messages.ts';

/** A page: far below the largest frame, and drawn at once. */
const MAX_PAGE_LINES = 2000;
const MAX_PAGE_BYTES = 2 ** 20;
/** A line of a log may be a stack, never a file. */
const MAX_LINE_BYTES = 64 * 1024;
const NEW_LINE = 10;

/** Where a line of a file begins, so that the next page need not count from the start. */
interface Mark {
  readonly version: string;
  readonly line: number;
  readonly byte: number;
}

/** The files that are looked at now; one that was forgotten is counted through once more. */
const MAX_MARKS = 64;
const marks = new Map<string, Mark>();

/**
 * Whole lines from number `from` (0 is the first) on; a missing file is an empty one.
 * @param version as the page before gave it: a file that has been replaced since is begun anew
 */
export async function tailFile(file: string, from: number, version = ''): Promise<TailResult> {
  const handle = await open(file).catch(() => undefined);
  const missing: TailResult = { lines: [], next: 0, rewound: from > 0, more: false, version: '' };
  if (!handle) return missing;
  try {
    const found = await handle.stat();
    if (!found.isFile()) return missing;
    // A file that is written anew gets another number; where the number is used again, the time of birth tells.
    const now = `${found.ino}-${found.birthtimeMs}`;
    if (version !== '' && version !== now) return { lines: [], next: 0, rewound: true, more: false, version: now };
    const mark = marks.get(file);
    const isGood = mark?.version === now && mark.line <= from && mark.byte <= found.size;
    const page = await readPage(handle, from, { ...(isGood ? mark : { line: 0, byte: 0 }), size: found.size });
    marks.delete(file);
    marks.set(file, { version: now, line: page.line, byte: page.byte });
    if (marks.size > MAX_MARKS) marks.delete(marks.keys().next().value ?? '');
    const { lines, more, line } = page;
    return { lines, next: line, rewound: line < from, more, version: now };
  } finally {
    await handle.close();
  }
}

interface Page {
  readonly lines: readonly string[];
  readonly more: boolean;
  /** Where the next page begins. */
  readonly line: number;
  readonly byte: number;
}

/** @param start a line not after `from` and the byte where it begins; nothing from `size` on is read */
async function readPage(
  handle: FileHandle,
  from: number,
  start: { readonly line: number; readonly byte: number; readonly size: number },
): Promise<Page> {
  const lines: string[] = [];
  let { line, byte } = start;
  let bytes = 0;
  let rest: Buffer = Buffer.alloc(0);
  const stream = handle.createReadStream({ start: byte, end: Math.max(byte, start.size - 1), autoClose: false });
  for await (const part of stream) {
    const chunk = part as Buffer;
    let begin = 0;
    for (let end = chunk.indexOf(NEW_LINE); end >= 0; end = chunk.indexOf(NEW_LINE, begin)) {
      const isWanted = line >= from;
      if (isWanted && (lines.length >= MAX_PAGE_LINES || bytes > MAX_PAGE_BYTES)) return { lines, more: true, line, byte };
      if (isWanted) {
        const text = Buffer.concat([rest, chunk.subarray(begin, end)])
          .subarray(0, MAX_LINE_BYTES)
          .toString('utf8');
        lines.push(text);
        bytes += text.length;
      }
      byte += rest.length + end + 1 - begin;
      rest = Buffer.alloc(0);
      begin = end + 1;
      line++;
    }
    rest = Buffer.concat([rest, chunk.subarray(begin)]);
  }
  return { lines, more: false, line, byte };
}
