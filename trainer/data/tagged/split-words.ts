/** Splits text into words, for models that label words. */

export interface TextWord {
  readonly text: string;
  /** Offset in the text, in UTF-16 units; `end` is exclusive. */
  readonly start: number;
  readonly end: number;
}

/** A character of a script without spaces, a run of other letters and digits, or one other character that is not white space. */
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}])[\p{L}\p{M}\p{N}_])+|[^\s]/gu;

/** Words and punctuation marks, in order. */
export const splitWords = (text: string): TextWord[] =>
  [...text.matchAll(WORD)].map(({ 0: word, index }) => ({ text: word, start: index, end: index + word.length }));
