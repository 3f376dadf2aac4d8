/** Python's `str` and `repr`. */
import { elementAt, required } from '../../../narrow.ts';
import { spend } from './budget.ts';
import { TemplateError, unsupported } from './template-error.ts';
import { Callable, Dict, DictView, Markup, Once, Range, Tuple, typeName, Undefined, type Value } from './values.ts';

/** Converts a value to text. @throws TemplateError if Python would write a memory address */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  if (value instanceof Markup) return value.text;
  const text = repr(value);
  spend(text.length);
  return text;
}

export function repr(value: Value): string {
  spend();
  if (typeof value === 'string') return reprText(value);
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return reprFloat(value);
  if (value instanceof Undefined) return 'Undefined';
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${repr(elementAt(value.items, 0))},)` : `(${value.items.map(repr).join(', ')})`;
  if (value instanceof Dict)
    return `{${value
      .entries()
      .map(([key, item]) => `${repr(key)}: ${repr(item)}`)
      .join(', ')}}`;
  if (value instanceof DictView) return `${value.kind}([${value.items().map(repr).join(', ')}])`;
  if (value instanceof Range) return `range(${value.start}, ${value.stop}${value.step === 1 ? '' : `, ${value.step}`})`;
  if (value instanceof Markup) return `Markup(${reprText(value.text)})`;
  if (value instanceof Callable && value.text !== undefined) return value.text;
  if (value instanceof Once) throw new TemplateError('a generator is written into the text; add |list or |join');
  throw unsupported(`writing a ${typeName(value)} into the text`);
}

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

function reprText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = Array.from(text, character => {
    if (character === quote) return `\\${quote}`;
    const named = NAMED[character];
    if (named !== undefined) return named;
    if (character === ' ' || !/[\p{C}\p{Z}]/u.test(character)) return character;
    const code = required(character.codePointAt(0), 'the character');
    const hex = (digits: number): string => code.toString(16).padStart(digits, '0');
    return code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`;
  });
  return quote + inner.join('') + quote;
}

/** The shortest digits that represent the number; in exponential notation below 1e-4 and from 1e16. */
export function reprFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const size = String(Math.abs(exponent)).padStart(2, '0');
    return `${digits}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  const plain = exponent < 0 && value !== 0 ? smallFixed(value) : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

/** Writes a small number without an exponent, as Python does from 0.0001 on. */
const smallFixed = (value: number): string => {
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const bare = digits.replace('-', '').replace('.', '');
  return `${value < 0 ? '-' : ''}0.${'0'.repeat(-Number(power) - 1)}${bare}`;
};
