/** Limits on the text that a tokenizer's components may produce. */

/** Maximum characters that are inserted into a text: prefixes, suffixes, replacements of a few characters. */
export const MAX_TEXT_CHARACTERS = 1000;
/** Maximum characters that a component may produce: the longest line of a data file. */
const MAX_RESULT_CHARACTERS = 64 * 2 ** 20;
/** Maximum factor by which a text may grow. The longest form in Unicode's own tables has 18 characters. */
const MAX_GROWTH = 64;
/** Text length up to which all matches can be collected at once. */
const WHOLE_CHARACTERS = 2 ** 20;

/** Error for a text that takes a tokenizer more time or memory than allowed. */
export class TextLimitError extends Error {}

/** The maximum length after processing a text of `length` characters. */
const mostCharacters = (length: number): number => Math.min(MAX_RESULT_CHARACTERS, MAX_GROWTH * length + MAX_TEXT_CHARACTERS);

/** @throws TextLimitError if a text of `before` characters became too long */
export function checkGrowth(before: number, after: number, what: string): void {
  const most = mostCharacters(before);
  if (after > most) throw new TextLimitError(`its ${what} makes more than ${most} characters of a text of ${before}`);
}

/**
 * Replaces each match with `content`.
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
