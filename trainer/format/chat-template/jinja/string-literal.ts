/** The escape sequences of Python strings. */
import { TemplateError, unsupported } from './template-error.ts';

const SIMPLE: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
};
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** @throws TemplateError for an escape sequence with missing digits */
export function unescapeString(text: string): string {
  return text.replace(
    /\\(?:([0-7]{1,3})|([xuU])([\dA-Fa-f]*)|([\s\S]))/gu,
    (whole, octal?: string, kind?: string, digits?: string, other?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (kind !== undefined) {
        const count = DIGITS[kind] as number;
        const code = Number.parseInt((digits ?? '').slice(0, count), 16);
        if ((digits ?? '').length < count || code > 0x10ffff) throw new TemplateError(`the escape ${whole} is incomplete`);
        return String.fromCodePoint(code) + (digits ?? '').slice(count);
      }
      if (other === 'N') throw unsupported('the escape \\N{…}');
      return SIMPLE[other ?? ''] ?? whole;
    },
  );
}
