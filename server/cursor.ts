/** The context of a cursor in a recipe, from the parsed text, or from its lines if they are incomplete. */

import type { Position, Range } from '../trainer/protocol/problem.ts';
import type { Located } from '../trainer/protocol/recipe/located.ts';
import { linesOf } from '../trainer/protocol/text/line-starts.ts';

export interface Spot {
  readonly path: readonly (string | number)[];
  readonly located: Located;
  readonly on: 'key' | 'value';
}

const contains = ({ start, end }: Range, at: Position): boolean => !before(at, start) && !before(end, at);

export const overlaps = (a: Range, b: Range): boolean => !before(a.end, b.start) && !before(b.end, a.start);

const before = (a: Position, b: Position): boolean => a.line < b.line || (a.line === b.line && a.column < b.column);

/** The innermost key or value at a position. */
export function spotAt(root: Located | undefined, at: Position, path: readonly (string | number)[] = []): Spot | undefined {
  if (root === undefined) return undefined;
  const { content } = root;
  const children: [string | number, Located][] =
    content.kind === 'map' ? [...content.entries] : content.kind === 'list' ? [...content.items.entries()] : [];
  for (const [step, located] of children) {
    const here = [...path, step];
    if (located.keyRange !== undefined && contains(located.keyRange, at)) return { path: here, located, on: 'key' };
    if (!contains(located.range, at)) continue;
    return spotAt(located, at, here) ?? { path: here, located, on: 'value' };
  }
  return undefined;
}

/** The item being typed: a key in a group (the empty path is the top level), or a value of a setting. */
export interface TypingSpot {
  readonly kind: 'key' | 'value';
  /** Path of the group, or of the setting. */
  readonly path: readonly string[];
  /** The range of the word around the cursor, which a completion replaces. */
  readonly range: Range;
  readonly word: string;
}

/** Matches a key with the text before and after it; quotes as in JSON are allowed. */
const KEY = /^(\s*)["']?([\w.-]+)["']?\s*:(?:\s|$)/;
const indentOf = (line: string): number => /^\s*/.exec(line)?.[0].length ?? 0;

/** Finds the item being typed. Reads lines only, so that text with syntax errors has completions, too. */
export function typingSpot(text: string, cursor: Position): TypingSpot | undefined {
  const lines = linesOf(text);
  const line = lines[cursor.line];
  if (line === undefined) return undefined;
  // A column beyond the end of its line means the end of the line.
  const at = { line: cursor.line, column: Math.min(cursor.column, line.length) };
  const left = line.slice(0, at.column);
  if (/(?:^|\s)#/.test(left)) return undefined;
  const key = KEY.exec(left);
  const inFlow = /\{[^}]*$/.test(left);
  const word = (inFlow || key !== null || /^\s*- /.test(left) ? /[^\s,[\]{}:"']*$/ : /[\w.-]*$/).exec(left)?.[0] ?? '';
  const rest = /^[^\s,[\]{}:"'#]*/.exec(line.slice(at.column))?.[0] ?? '';
  const range = { start: { line: at.line, column: at.column - word.length }, end: { line: at.line, column: at.column + rest.length } };
  const name = key?.[2];
  if (key !== null && name !== undefined) {
    const path = [...parentsOf(lines, at.line, indentOf(line)), name];
    if (!inFlow) return { kind: 'value', path, range, word };
    const inner = /([\w.-]+)["']?\s*:\s*[^,{}]*$/.exec(left.slice(left.lastIndexOf('{')))?.[1];
    return inner === undefined ? { kind: 'key', path, range, word } : { kind: 'value', path: [...path, inner], range, word };
  }
  const isItem = /^\s*-(?:\s|$)/.test(line);
  const parents = parentsOf(lines, at.line, isItem ? indentOf(line) + 1 : Math.min(indentOf(line), at.column - word.length));
  return { kind: isItem ? 'value' : 'key', path: parents, range, word };
}

/** The keys of the groups that contain a line of this indentation, outermost first. */
function parentsOf(lines: readonly string[], line: number, indent: number): string[] {
  const parents: string[] = [];
  let limit = indent;
  for (let i = line - 1; i >= 0 && limit > 0; i--) {
    const text = lines[i] ?? '';
    const key = KEY.exec(text);
    const found = indentOf(text);
    if (key?.[2] === undefined || found >= limit) continue;
    parents.unshift(key[2]);
    limit = found;
  }
  return parents;
}
