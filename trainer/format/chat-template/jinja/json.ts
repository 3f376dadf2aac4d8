/** `tojson` as defined by Transformers: Python's `json.dumps` without HTML escaping. */
import { spend } from './budget.ts';
import { TemplateError } from './template-error.ts';
import { reprFloat } from './text.ts';
import { Dict, Markup, Tuple, typeName, type Value } from './values.ts';

export interface JsonStyle {
  readonly ascii: boolean;
  /** The indentation per level; undefined for a single line. */
  readonly indent: string | undefined;
  readonly separators: readonly [item: string, key: string];
  readonly sortKeys: boolean;
}

/** @throws TemplateError for values that JSON does not have */
export function toJson(value: Value, style: JsonStyle, level = 0): string {
  spend();
  if (value === null) return 'null';
  if (typeof value === 'string') return jsonText(value, style.ascii);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return jsonFloat(value);
  if (Array.isArray(value) || value instanceof Tuple) {
    const items = value instanceof Tuple ? value.items : value;
    return wrapped(
      items.map(item => toJson(item, style, level + 1)),
      ['[', ']'],
      style,
      level,
    );
  }
  if (value instanceof Dict) {
    const entries = style.sortKeys ? sorted(value.entries()) : value.entries();
    const lines = entries.map(
      ([key, item]) => `${jsonText(jsonKey(key), style.ascii)}${style.separators[1]}${toJson(item, style, level + 1)}`,
    );
    return wrapped(lines, ['{', '}'], style, level);
  }
  if (value instanceof Markup) return toJson(value.text, style, level);
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function wrapped(
  lines: readonly string[],
  [open, close]: readonly [string, string],
  { indent, separators }: JsonStyle,
  level: number,
): string {
  if (lines.length === 0) return open + close;
  const line = (depth: number): string => (indent === undefined ? '' : `\n${indent.repeat(depth)}`);
  const text = `${open}${line(level + 1)}${lines.join(separators[0] + line(level + 1))}${line(level)}${close}`;
  spend(text.length);
  return text;
}

const jsonFloat = (value: number): string =>
  Number.isNaN(value) ? 'NaN' : Number.isFinite(value) ? reprFloat(value) : value > 0 ? 'Infinity' : '-Infinity';

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null || typeof key === 'boolean') return String(key);
  if (typeof key === 'bigint') return key.toString();
  if (typeof key === 'number') return jsonFloat(key);
  throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function sorted(entries: ReadonlyArray<readonly [Value, Value]>): ReadonlyArray<readonly [Value, Value]> {
  const texts = entries.filter(([key]) => typeof key === 'string').length;
  if (texts > 0 && texts < entries.length) throw new TemplateError('keys of different types can not be sorted');
  return [...entries].sort(([a], [b]) => (typeof a === 'string' ? comparePoints(a, String(b)) : Number(a) - Number(b)));
}

/** Compares by code points; JavaScript compares UTF-16 units. */
export function comparePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const high = (unit: number): boolean => unit >= 0xd800 && unit < 0xe000;
    return high(x) === high(y) ? x - y : high(x) ? 1 : -1;
  }
  return a.length - b.length;
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
};

export function jsonText(text: string, ascii: boolean): string {
  let result = '';
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    const code = text.charCodeAt(i);
    const plain = code >= 0x20 && !(ascii && code > 0x7e);
    result += SHORT[character] ?? (plain ? character : `\\u${code.toString(16).padStart(4, '0')}`);
  }
  return `"${result}"`;
}
