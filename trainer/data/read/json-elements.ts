/** Finds the elements of a list in a JSON text, each with its line, so that an error can name the sample it is in. */

export interface JsonElement {
  /** From 1: the line of its first character. */
  readonly line: number;
  readonly text: string;
  /** Its end in the text of the file. */
  readonly end: number;
}

/** The layout of a JSON file. */
export type JsonLayout =
  | { readonly kind: 'list'; readonly start: number }
  /** Several values in a row: JSON Lines under another name. */
  | { readonly kind: 'lines' }
  | { readonly kind: 'other' };

const spaces = /[ \t\r\n\uFEFF]*/y;
const scalarEnd = /[,\]}\s]/g;
const stringEnd = /["\\]/g;

/** The place where the list of samples begins: the text itself, or the value of its key `data`. */
export function jsonLayout(text: string): JsonLayout {
  const start = skipSpaces(text, 0);
  if (text[start] === '[') return { kind: 'list', start };
  if (text[start] !== '{') return { kind: 'other' };
  if (skipSpaces(text, skipValue(text, start)) < text.length) return { kind: 'lines' };
  let at = skipSpaces(text, start + 1);
  while (text[at] === '"') {
    const keyEnd = skipValue(text, at);
    const value = skipSpaces(text, skipSpaces(text, keyEnd) + 1);
    if (text.slice(at, keyEnd) === '"data"') return text[value] === '[' ? { kind: 'list', start: value } : { kind: 'other' };
    at = skipSpaces(text, skipValue(text, value));
    if (text[at] !== ',') break;
    at = skipSpaces(text, at + 1);
  }
  return { kind: 'other' };
}

/** The elements of the list that opens at `start`. Malformed JSON gives pieces that JSON.parse refuses, never an endless loop. */
export function* jsonElements(text: string, start: number): Generator<JsonElement> {
  let line = 1;
  let counted = 0;
  const lineOf = (position: number) => {
    for (let at = text.indexOf('\n', counted); at >= 0 && at < position; at = text.indexOf('\n', at + 1)) line++;
    counted = position;
    return line;
  };
  let at = skipSpaces(text, start + 1);
  if (text[at] === ']') return;
  while (true) {
    const end = Math.max(skipValue(text, at), at);
    const next = skipSpaces(text, end);
    const separator = text[next];
    // Whatever stands where a comma or the closing bracket belongs makes the element itself malformed.
    yield { line: lineOf(at), text: separator === ',' || separator === ']' ? text.slice(at, end) : text.slice(at, next + 1), end };
    if (separator !== ',') {
      if (separator !== ']') yield { line: lineOf(next), text: '', end };
      return;
    }
    at = skipSpaces(text, next + 1);
  }
}

function skipSpaces(text: string, from: number): number {
  spaces.lastIndex = Math.min(from, text.length);
  spaces.test(text);
  return spaces.lastIndex;
}

/** The position after the value that starts at `from`; the end of the text where it is not closed. */
function skipValue(text: string, from: number): number {
  const opening = text[from];
  if (opening === '"') return skipString(text, from);
  if (opening !== '{' && opening !== '[') return search(text, scalarEnd, from);
  const brackets = /["{}[\]]/g;
  brackets.lastIndex = from;
  let depth = 0;
  for (let match = brackets.exec(text); match !== null; match = brackets.exec(text)) {
    if (match[0] === '"') brackets.lastIndex = skipString(text, match.index);
    else if (match[0] === '{' || match[0] === '[') depth++;
    else if (--depth === 0) return match.index + 1;
  }
  return text.length;
}

function skipString(text: string, from: number): number {
  let at = search(text, stringEnd, from + 1);
  while (text[at] === '\\') at = search(text, stringEnd, at + 2);
  return Math.min(at + 1, text.length);
}

function search(text: string, pattern: RegExp, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}
