/** Character classes as defined by Rust's standard library and `unicode_categories`, where JavaScript's differ. */

const WHITE_SPACE = /^\p{White_Space}$/u;
const TRAILING_WHITE_SPACE = /\p{White_Space}+$/u;
const LEADING_WHITE_SPACE = /^\p{White_Space}+/u;
const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');

/** True for white space. Unlike JavaScript's `\s`: includes U+0085, excludes U+FEFF. */
const isWhiteSpace = (character: string): boolean => WHITE_SPACE.test(character);
export const trimStart = (text: string): string => text.replace(LEADING_WHITE_SPACE, '');
export const trimEnd = (text: string): string => text.replace(TRAILING_WHITE_SPACE, '');
export const startsWithWord = (text: string): boolean => STARTS_WITH_WORD.test(text);
export const endsWithWord = (text: string): boolean => ENDS_WITH_WORD.test(text);
/** Lowercases letter by letter: JavaScript would convert a Σ at the end of a word differently. */
export const lowercase = (text: string): string =>
  /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : Array.from(text, c => c.toLowerCase()).join('');

/** The start of the white space that ends at `end`, for text that is scanned backwards. */
export function trailingWhiteSpace(text: string, end: number): number {
  let at = end;
  while (at > 0 && isWhiteSpace(text.charAt(at - 1))) at--;
  return at;
}

export function leadingWhiteSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && isWhiteSpace(text.charAt(at))) at++;
  return at;
}

export const characterLength = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
