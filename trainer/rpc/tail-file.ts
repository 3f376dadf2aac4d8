/** A page of lines of a file that another process appends to. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { TailResult } from '../protocol/rpc-messages.ts';

/** A page: far below the largest frame, and drawn at once. */
const MAX_PAGE_LINES = 2000;
const MAX_PAGE_BYTES = 2 ** 20;
/** A line of a log may be a stack, never a file. */
const MAX_LINE_BYTES = 64 * 1024;

/** Whole lines from number `from` (0 is the first) on; a missing file is an empty one. */
export async function tailFile(file: string, from: number): Promise<TailResult> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) return { lines: [], next: 0, rewound: from > 0, more: false };
  const lines: string[] = [];
  let number = 0;
  let bytes = 0;
  let rest = '';
  for await (const chunk of createReadStream(file, { encoding: 'utf8', end: Math.max(0, found.size - 1) })) {
    const parts = (rest + (chunk as string)).split('\n');
    rest = parts.pop() ?? '';
    // What is cut here can't be JSON any more; it is no line of ours.
    if (rest.length > MAX_LINE_BYTES) rest = rest.slice(0, MAX_LINE_BYTES);
    for (const line of parts) {
      if (number++ < from) continue;
      if (lines.length >= MAX_PAGE_LINES || bytes > MAX_PAGE_BYTES) return { lines, next: from + lines.length, rewound: false, more: true };
      const kept = line.slice(0, MAX_LINE_BYTES);
      lines.push(kept);
      bytes += kept.length;
    }
  }
  return { lines, next: Math.min(number, from + lines.length), rewound: number < from, more: false };
}
