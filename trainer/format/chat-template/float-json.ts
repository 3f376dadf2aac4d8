/**
 * JSON for chat templates. Python reads `1.0` and `1e5` as floats and writes them as such; a number of JavaScript does not differ from the
 * integer. Such a float becomes a `Number` object, which `JSON.stringify` writes as a number and copies between threads keep.
 */
import { isOneOf } from '../../catalog/entries.ts';
import { isRecord } from '../../narrow.ts';

/** Keys of a chat whose values templates write as they are. */
const KEPT_BELOW = ['tools', 'tool_calls', 'documents', 'chat_template_kwargs'] as const;

/** A float that is a whole number, such as 1.0, 2.50e1 or 1E5, perhaps within a text. */
const MAYBE = /\d(?:\.0+(?!\d)|[eE][+-]?\d)/;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** The key of the object that stands for a float while the text is parsed. */
const MARK = '\0float';

/** Parses JSON with floats that are whole numbers as `Number` objects. @throws SyntaxError */
export const parseWithFloats = (text: string): unknown => withFloats(text, JSON.parse(text));

/**
 * Returns the value of a chat or sample with `Number` objects for floats that are whole numbers, below the keys whose values templates write.
 * @param text the JSON of the value
 */
export function chatWithFloats(text: string, value: Readonly<Record<string, unknown>>): Record<string, unknown>;
export function chatWithFloats(text: string, value: unknown): unknown;
export function chatWithFloats(text: string, value: unknown): unknown {
  return MAYBE.test(text) ? plainAbove(withFloats(text, value)) : value;
}

function withFloats(text: string, value: unknown): unknown {
  if (!MAYBE.test(text)) return value;
  return JSON.parse(marked(text), (_, part: unknown) => (isRecord(part) && typeof part[MARK] === 'number' ? Object(part[MARK]) : part));
}

function plainAbove(value: unknown): unknown {
  if (value instanceof Number) return value.valueOf();
  if (Array.isArray(value)) return value.map(plainAbove);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, isOneOf(KEPT_BELOW, key) ? item : plainAbove(item)]));
}

/** Returns a valid JSON text with an object of the one key `MARK` in place of each float that is a whole number. */
function marked(text: string): string {
  let whole = '';
  let copied = 0;
  for (let at = 0; at < text.length; ) {
    if (text[at] === '"') {
      at = endOfString(text, at);
      continue;
    }
    NUMBER.lastIndex = at;
    const written = NUMBER.exec(text)?.[0];
    const end = at + (written?.length ?? 1);
    if (written !== undefined && /[.eE]/.test(written) && Number.isInteger(Number(written))) {
      whole += `${text.slice(copied, at)}{${JSON.stringify(MARK)}:${written}}`;
      copied = end;
    }
    at = end;
  }
  return whole + text.slice(copied);
}

/** Returns the position after a string of a valid JSON text. @param at the position of its first quotation mark */
function endOfString(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}
