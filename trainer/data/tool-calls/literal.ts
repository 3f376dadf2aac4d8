/** Reads literals of Python and JSON as models write them for the arguments of a call. Nothing is evaluated. */
import { type MarkReader, markPattern } from './marks.ts';

/** Maximum nesting depth: no tool takes deeper values. */
const MAX_DEPTH = 32;

export const CONSTANTS: Readonly<Record<string, unknown>> = { True: true, False: false, None: null, true: true, false: false, null: null };
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '\n': '' };

export interface Literal {
  readonly value: unknown;
}

/**
 * Reads the literal that begins here: a text, a number, a constant, a list or a dictionary of literals.
 * @param quote an additional quotation mark of texts
 * @returns undefined if there is none; the reader's position is then unspecified
 */
export function readLiteral(reader: MarkReader, quote: string, depth = 0): Literal | undefined {
  reader.take('\\s*');
  const text = textLiteral(reader, quote);
  if (text !== undefined) return { value: text };
  if (reader.take('[\\[(]') !== undefined) return depth < MAX_DEPTH ? listLiteral(reader, quote, depth + 1) : undefined;
  if (reader.take('\\{') !== undefined) return depth < MAX_DEPTH ? dictionaryLiteral(reader, quote, depth + 1) : undefined;
  const number = reader.take('-?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?');
  if (number !== undefined) return { value: Number(number) };
  const word = reader.take('[A-Za-z]+');
  return word !== undefined && Object.hasOwn(CONSTANTS, word) ? { value: CONSTANTS[word] } : undefined;
}

/** A text between quotes, with its escapes replaced. A text between the template's own marks has no escapes. */
function textLiteral(reader: MarkReader, quote: string): string | undefined {
  if (!['', '"', "'"].includes(quote) && reader.take(markPattern(quote)) !== undefined) {
    const end = reader.text.indexOf(quote, reader.at);
    if (end < 0) return undefined;
    const text = reader.text.slice(reader.at, end);
    reader.at = end + quote.length;
    return text;
  }
  const quoted = reader.take(`"(?:[^"\\\\]|\\\\[^])*"|'(?:[^'\\\\]|\\\\[^])*'`);
  return quoted
    ?.slice(1, -1)
    .replaceAll(/\\(?:u([\da-fA-F]{4})|x([\da-fA-F]{2})|(.))/gs, (_, four?: string, two?: string, one = '') =>
      four === undefined && two === undefined ? (ESCAPES[one] ?? one) : String.fromCharCode(Number.parseInt(four ?? two ?? '', 16)),
    );
}

function listLiteral(reader: MarkReader, quote: string, depth: number): Literal | undefined {
  const values: unknown[] = [];
  while (reader.take('\\s*[\\])]') === undefined) {
    const found = readLiteral(reader, quote, depth);
    if (found === undefined || !isSeparated(reader, '[\\])]')) return undefined;
    values.push(found.value);
  }
  return { value: values };
}

/** A dictionary whose keys are texts or names. */
function dictionaryLiteral(reader: MarkReader, quote: string, depth: number): Literal | undefined {
  const entries: [string, unknown][] = [];
  while (reader.take('\\s*\\}') === undefined) {
    reader.take('\\s*');
    const key = textLiteral(reader, quote) ?? reader.take('[\\p{L}_][\\p{L}\\p{N}_]*');
    if (key === undefined || reader.take('\\s*:') === undefined) return undefined;
    const found = readLiteral(reader, quote, depth);
    if (found === undefined || !isSeparated(reader, '\\}')) return undefined;
    entries.push([key, found.value]);
  }
  return { value: Object.fromEntries(entries) };
}

/** Advances past a comma. @returns whether a comma or the end follows */
const isSeparated = (reader: MarkReader, end: string): boolean => reader.take(`\\s*(?:,|(?=${end}))`) !== undefined;
