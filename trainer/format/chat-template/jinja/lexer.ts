/** Splits Jinja source into text, tags and their tokens, with Transformers' settings: `trim_blocks` and `lstrip_blocks`. */
import { unescapeString } from './string-literal.ts';
import { TemplateError } from './template-error.ts';

export type Token =
  | { readonly kind: 'text'; readonly value: string; readonly line: number }
  | { readonly kind: 'open' | 'close'; readonly value: '{{' | '{%' | '}}' | '%}'; readonly line: number }
  | { readonly kind: 'name' | 'operator' | 'string'; readonly value: string; readonly line: number }
  | { readonly kind: 'integer'; readonly value: bigint; readonly line: number }
  | { readonly kind: 'float'; readonly value: number; readonly line: number };

/** White space as defined by Python. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const ONE_SPACE = new RegExp(`[${SPACE}]`);
export const LEADING_SPACE = new RegExp(`^[${SPACE}]+`);
export const SPACES = new RegExp(`[${SPACE}]+`, 'g');
export const ONLY_SPACE = new RegExp(`^[${SPACE}]*$`);

/** Removes trailing white space. A regular expression would restart at each space of a long run inside the text. */
export function withoutTrailingSpace(text: string): string {
  let end = text.length;
  while (end > 0 && ONE_SPACE.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

const BEGINS = ['{%', '{{', '{#'] as const;
const OPENING = /\{%[-+]?|\{\{[-+]?|\{#[-+]?/g;
const RAW = new RegExp(`\\{%[-+]?[${SPACE}]*raw[${SPACE}]*(-%\\}[${SPACE}]*|%\\})`, 'y');
const END_RAW = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`, 'g');
const END_COMMENT = new RegExp(`\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?`, 'g');
const END_BLOCK = new RegExp(`\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?`, 'y');
const END_VARIABLE = new RegExp(`-\\}\\}[${SPACE}]*|\\}\\}`, 'y');
const WHITE = new RegExp(`[${SPACE}]+`, 'y');
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const CLOSERS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** @throws TemplateError with the line of a syntax error */
export function tokenize(written: string): Token[] {
  // A single line break at the end is ignored.
  const source = written.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let line = 1;
  let at = 0;
  let lineStarts = true;
  const advance = (to: number): void => {
    for (let i = at; i < to; i++) if (source.charCodeAt(i) === 10) line++;
    if (to > at) lineStarts = source[to - 1] === '\n';
    at = to;
  };
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  const fail = (message: string): never => {
    throw new TemplateError(`line ${line}: ${message}`);
  };
  /** Adds the text before a tag, without the white space that the tag strips. */
  const text = (value: string, sign: string, strips: boolean): void => {
    const kept = beforeTag(value, sign, strips, lineStarts);
    if (kept !== '') tokens.push({ kind: 'text', value: kept, line });
  };
  while (at < source.length) {
    const opening = match(OPENING);
    if (opening === null) {
      tokens.push({ kind: 'text', value: source.slice(at), line });
      break;
    }
    const [tag] = opening;
    const begin = BEGINS.find(sign => tag.startsWith(sign)) ?? fail(`the tag ${tag} is unknown`);
    text(source.slice(at, opening.index), tag.slice(2), begin !== '{{');
    advance(opening.index);
    const raw = begin === '{%' ? match(RAW) : null;
    if (raw !== null) {
      advance(at + raw[0].length);
      const end = match(END_RAW) ?? fail('a raw block has no end');
      text(source.slice(at, end.index), end[1] ?? '', true);
      advance(end.index + end[0].length);
    } else if (begin === '{#') {
      advance(at + tag.length);
      const end = match(END_COMMENT) ?? fail('a comment has no end');
      advance(end.index + end[0].length);
    } else {
      tokens.push({ kind: 'open', value: begin, line });
      advance(at + tag.length);
      inside(begin === '{%' ? END_BLOCK : END_VARIABLE, begin === '{%' ? '%}' : '}}');
    }
  }
  return tokens;

  /** Reads the tokens of a tag, up to its end. */
  function inside(end: RegExp, close: '%}' | '}}'): void {
    const open: string[] = [];
    for (;;) {
      const white = match(WHITE);
      if (white !== null) advance(at + white[0].length);
      if (at >= source.length) fail('a tag has no end');
      const closing = open.length === 0 ? match(end) : null;
      if (closing !== null) {
        tokens.push({ kind: 'close', value: close, line });
        advance(at + closing[0].length);
        return;
      }
      one(open);
    }
  }

  function one(open: string[]): void {
    for (const [pattern, make] of TOKEN_FORMS) {
      const found = match(pattern);
      if (found === null) continue;
      const [written] = found;
      const closer = CLOSERS[written];
      if (closer !== undefined) open.push(closer);
      else if (pattern === OPERATOR && ')]}'.includes(written) && open.pop() !== written) fail(`unexpected "${written}"`);
      tokens.push(make(written, line));
      advance(at + written.length);
      return;
    }
    fail(`unexpected character ${JSON.stringify(String.fromCodePoint(source.codePointAt(at) ?? 0))}`);
  }
}

/** Token patterns, in the order in which they are tried. */
const TOKEN_FORMS: ReadonlyArray<readonly [RegExp, (written: string, line: number) => Token]> = [
  [FLOAT, (written, line) => ({ kind: 'float', value: Number(written.replaceAll('_', '')), line })],
  [INTEGER, (written, line) => ({ kind: 'integer', value: BigInt(written.replaceAll('_', '')), line })],
  [NAME, (written, line) => ({ kind: 'name', value: written.normalize('NFKC'), line })],
  [STRING, (written, line) => ({ kind: 'string', value: unescapeString(written.slice(1, -1)), line })],
  [OPERATOR, (written, line) => ({ kind: 'operator', value: written, line })],
];

/** `-` strips all white space; a block or comment alone on its line strips the space before it, unless it has a `+`. */
function beforeTag(value: string, sign: string, strips: boolean, lineStarts: boolean): string {
  if (sign === '-') return withoutTrailingSpace(value);
  if (sign === '+' || !strips) return value;
  const from = value.lastIndexOf('\n') + 1;
  return (from > 0 || lineStarts) && ONLY_SPACE.test(value.slice(from)) ? value.slice(0, from) : value;
}
