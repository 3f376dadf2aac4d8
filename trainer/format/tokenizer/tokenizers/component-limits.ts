/** Limits of what the components of a tokenizer may make of a text. */

/** Characters that are put into a text: prefixes, suffixes, replacements of a character or a few. */
export const MAX_TEXT_CHARACTERS = 1000;
/** Characters that a component may make of a text: the longest line of a data file. */
const MAX_RESULT_CHARACTERS = 64 * 2 ** 20;
/** How many times longer a text may become. The longest form in Unicode's own tables has 18 characters. */
const MAX_GROWTH = 64;
/** Matches in a text of this length are held without harm. */
const WHOLE_CHARACTERS = 2 ** 20;

/** A text for which a tokenizer takes more time or memory than it may. */
export class TextLimitError extends Error {}

/** The most characters that a text of `length` characters may become. */
const mostCharacters = (length: number): number => Math.min(MAX_RESULT_CHARACTERS, MAX_GROWTH * length + MAX_TEXT_CHARACTERS);

/** @throws TextLimitError where a text of `before` characters became too long */
export function checkGrowth(before: number, after: number, what: string): void {
  const most = mostCharacters(before);
  if (after > most) throw new TextLimitError(`its ${what} makes more than ${most} characters of a text of ${before}`);
}

/**
 * The text with `content` in place of each match.
 * @throws TextLimitError before the result gets too long
 */
export function replaceMatches(value: string, found: RegExp, content: string, what: string): string {
  const longest = value.length + (value.length + 1) * content.length;
  if (value.length <= WHOLE_CHARACTERS && longest <= mostCharacters(value.length)) return value.replace(found, () => content);
  let result = '';
  let end = 0;
  for (const match of value.matchAll(found)) {
    result += value.slice(end, match.index) + content;
    end = match.index + match[0].length;
    checkGrowth(value.length, result.length, what);
  }
  result += value.slice(end);
  checkGrowth(value.length, result.length, what);
  return result;
}
