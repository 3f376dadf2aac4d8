/** Reads pages of lines from a file that another process appends to. */
import type { FileHandle } from 'node:fs/promises';
import { openInFolder, ReadRefusedError } from '../files/regular-file.ts';
import type { TailResult } from '../protocol/messages/rpc-messages.ts';

/** Maximum number of lines per page: far below the largest frame, and drawn at once. */
const MAX_PAGE_LINES = 2000;
const MAX_PAGE_BYTES = 2 ** 20;
/** Maximum length of a line: a log line may be a stack trace, but not a whole file. */
const MAX_LINE_BYTES = 64 * 1024;
/** Maximum size of a file: years of a log. Counting the lines of a larger file would take too long. */
const MAX_FILE_BYTES = 2 * 2 ** 30;
const READ_BYTES = 256 * 1024;
const NEW_LINE = 10;

/** A position in a file, so that the next page does not count lines from the start. */
interface Place {
  /** Index, from 0, of the line that begins with `head`. */
  readonly line: number;
  /** Offset of the next byte to read. */
  readonly byte: number;
  /** The part of that line that was read, up to the length that is shown. */
  readonly head: Buffer;
}

const START: Place = { line: 0, byte: 0, head: Buffer.alloc(0) };

interface Mark extends Place {
  readonly version: string;
}

/** Maximum number of files whose position is remembered; others are counted again from the start. */
const MAX_MARKS = 64;
const marks = new Map<string, Mark>();

/**
 * Reads whole lines starting at index `from` (0 is the first); a missing file is empty.
 * @param folder must contain the file, with links resolved
 * @param version the version from the previous page: a file that was replaced since is read from the start
 * @throws ReadRefusedError for a file that is irregular, too large, or outside the folder
 */
export async function tailFile(folder: string, name: string, from: number, version = ''): Promise<TailResult> {
  const opened = await openInFolder(folder, name).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!opened) return { lines: [], next: 0, rewound: from > 0, more: false, version: '' };
  const { handle, stats } = opened;
  const file = `${folder}\0${name}`;
  try {
    if (stats.size > MAX_FILE_BYTES) {
      const what = `has ${stats.size} bytes; at most ${MAX_FILE_BYTES} are read line by line`;
      throw new ReadRefusedError(`${folder}/${name}`, 'file-too-large', what, 'Check that it is the file of a run, or remove it.');
    }
    // A replaced file has another inode; if its number is reused, the creation time differs.
    const now = `${stats.ino}-${stats.birthtimeMs}`;
    if (version !== '' && version !== now) return { lines: [], next: 0, rewound: true, more: false, version: now };
    const mark = marks.get(file);
    const isGood = mark?.version === now && mark.line <= from && mark.byte <= stats.size;
    const { lines, more, place } = await readPage(handle, { from, start: isGood ? mark : START, size: stats.size });
    marks.delete(file);
    marks.set(file, { version: now, ...place });
    if (marks.size > MAX_MARKS) marks.delete(marks.keys().next().value ?? '');
    return { lines, next: place.line, rewound: place.line < from, more, version: now };
  } finally {
    await handle.close();
  }
}

interface Page {
  readonly lines: readonly string[];
  readonly more: boolean;
  /** The start of the next page. */
  readonly place: Place;
}

/** Reads each byte once, whatever the length of a line, and nothing beyond `size`. */
async function readPage(
  handle: FileHandle,
  { from, start, size }: { readonly from: number; readonly start: Place; readonly size: number },
): Promise<Page> {
  const lines: string[] = [];
  let { line, byte, head } = start;
  let bytes = 0;
  const block = Buffer.allocUnsafe(READ_BYTES);
  const keep = (part: Buffer): Buffer => Buffer.concat([head, part.subarray(0, MAX_LINE_BYTES - head.length)]);
  while (byte < size) {
    const { bytesRead } = await handle.read(block, 0, Math.min(READ_BYTES, size - byte), byte);
    if (bytesRead === 0) break;
    const chunk = block.subarray(0, bytesRead);
    let begin = 0;
    for (let end = chunk.indexOf(NEW_LINE); end >= 0; end = chunk.indexOf(NEW_LINE, begin)) {
      const isWanted = line >= from;
      if (isWanted && (lines.length >= MAX_PAGE_LINES || bytes > MAX_PAGE_BYTES))
        return { lines, more: true, place: { line, byte: byte + begin, head } };
      if (isWanted) {
        const text = keep(chunk.subarray(begin, end));
        lines.push(text.toString('utf8'));
        bytes += text.length;
      }
      head = START.head;
      begin = end + 1;
      line++;
    }
    if (head.length < MAX_LINE_BYTES) head = keep(chunk.subarray(begin));
    byte += bytesRead;
  }
  return { lines, more: false, place: { line, byte, head } };
}
