/**
 * Converts offsets in a text to lines and columns and back, with the line ends of the Language Server Protocol, which include a lone
 * carriage return. The YAML library's counter ignores those, and misses line ends inside text that does not parse.
 */
import type { Position } from '../problem.ts';

const LINE_END = /\r\n|\n|\r/g;

/** The lines of a text without their ends. */
export const linesOf = (text: string): string[] => text.split(LINE_END);

const lineStarts = (text: string): number[] => [0, ...Array.from(text.matchAll(LINE_END), ({ 0: end, index }) => index + end.length)];

/** Returns a function from offsets to positions; an offset beyond the text maps to its end. */
export function positionsIn(text: string): (offset: number) => Position {
  const starts = lineStarts(text);
  return offset => {
    const at = Math.min(Math.max(0, offset), text.length);
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low, column: at - (starts[low] ?? 0) };
  };
}

/** Returns a function from positions to offsets; a line beyond the text maps to its end. */
export function offsetsIn(text: string): (position: Position) => number {
  const starts = lineStarts(text);
  return ({ line, column }) => Math.min((starts[line] ?? text.length) + column, text.length);
}
