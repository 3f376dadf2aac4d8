/** Classes of characters as Rust's standard library and its `unicode_categories` know them, where JavaScript's own differ. */

const WHITE_SPACE = /^\p{White_Space}$/u;
const TRAILING_WHITE_SPACE = /\p{White_Space}+$/u;
const LEADING_WHITE_SPACE = /^\p{White_Space}+/u;
const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');

/** Unlike JavaScript's `\s`: with U+0085, without U+FEFF. */
const isWhiteSpace = (character: string): boolean => WHITE_SPACE.test(character);
export const trimStart = (text: string): string => text.replace(LEADING_WHITE_SPACE, '');
export const trimEnd = (text: string): string => text.replace(TRAILING_WHITE_SPACE, '');
export const startsWithWord = (text: string): boolean => STARTS_WITH_WORD.test(text);
export const endsWithWord = (text: string): boolean => ENDS_WITH_WORD.test(text);
/** Letter by letter: JavaScript makes another letter of a Σ at the end of a word. */
export const lowercase = (text: string): string =>
  /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : Array.from(text, c => c.toLowerCase()).join('');

/** For text that is looked at from its end. */
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
