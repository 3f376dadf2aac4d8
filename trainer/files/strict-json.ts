/**
 * Parses JSON from outside: errors with line and column, no duplicate keys, bounded depth. For headers and configs, not for megabytes of
 * vocabulary.
 */

/** Maximum nesting depth: deeper than any config or header, and small enough that a hostile file cannot exhaust the stack. */
const MAX_DEPTH = 64;
/** Maximum number of values: the header of a model with 400,000 tensors. A value takes up to 100 bytes of memory. */
const MAX_VALUES = 4_000_000;

export class JsonSyntaxError extends Error {
  override name = 'JsonSyntaxError';
}

/**
 * Parses JSON; on request, also accepts `NaN`, `Infinity` and `-Infinity`, which Python writes.
 * @throws JsonSyntaxError with line and column
 */
export function parseStrictJson(text: string, options: { readonly allowNonFinite?: boolean } = {}): unknown {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  let values = 0;

  const fail = (message: string, where = at): never => {
    const before = text.slice(0, where).split('\n');
    throw new JsonSyntaxError(`${message} at line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`);
  };
  const skipSpace = (): void => {
    for (;;) {
      const c = text.charCodeAt(at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      at++;
    }
  };
  const readString = (): string => {
    const start = at++;
    for (;;) {
      const c = text.charCodeAt(at);
      if (Number.isNaN(c)) fail('a string is not closed', start);
      at++;
      if (c === 34) break;
      if (c === 92) at++;
    }
    try {
      return String(JSON.parse(text.slice(start, at)));
    } catch {
      return fail('a string holds a bad escape or a control character', start);
    }
  };
  const readLiteral = (): unknown => {
    const match = /^(?:true|false|null|NaN|-?Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(text.slice(at, at + 400));
    const word = match?.[0];
    if (word === undefined) return fail(at >= text.length ? 'the text ends too early' : `unexpected ${JSON.stringify(text[at])}`);
    if (/^(?:NaN|-?Infinity)$/.test(word)) {
      if (!options.allowNonFinite) fail(`${word} is not JSON`);
      at += word.length;
      return Number(word);
    }
    at += word.length;
    return JSON.parse(word);
  };
  const readArray = (depth: number): unknown[] => {
    const items: unknown[] = [];
    at++;
    skipSpace();
    if (text[at] === ']') {
      at++;
      return items;
    }
    for (;;) {
      items.push(readValue(depth + 1));
      const c = text[at++];
      if (c === ']') return items;
      if (c !== ',') fail('expected "," or "]"', at - 1);
    }
  };
  const readObject = (depth: number): Record<string, unknown> => {
    const entries = new Map<string, unknown>();
    at++;
    skipSpace();
    if (text[at] === '}') {
      at++;
      return {};
    }
    for (;;) {
      skipSpace();
      const keyAt = at;
      if (text[at] !== '"') fail('expected a key in double quotes');
      const key = readString();
      if (entries.has(key)) fail(`the key ${JSON.stringify(key.slice(0, 100))} appears twice`, keyAt);
      skipSpace();
      if (text[at++] !== ':') fail('expected ":"', at - 1);
      entries.set(key, readValue(depth + 1));
      const c = text[at++];
      if (c === '}') return Object.fromEntries(entries);
      if (c !== ',') fail('expected "," or "}"', at - 1);
    }
  };
  const readValue = (depth: number): unknown => {
    if (depth > MAX_DEPTH) fail(`nested deeper than ${MAX_DEPTH}`);
    if (++values > MAX_VALUES) fail(`more than ${MAX_VALUES} values`);
    skipSpace();
    const c = text[at];
    const value = c === '{' ? readObject(depth) : c === '[' ? readArray(depth) : c === '"' ? readString() : readLiteral();
    skipSpace();
    return value;
  };

  const value = readValue(0);
  if (at < text.length) fail('text after the end of the value');
  return value;
}
