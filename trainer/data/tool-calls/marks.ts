/** Finds marks of a chat template in text that a model wrote; white space in them may differ. */

/** A text without surrounding white space. */
export const coreOf = (text: string): string => text.trim();

/** The beginning of a text up to the end of its first `count` words, without leading white space. */
export const firstWords = (text: string, count: number): string => new RegExp(`^(?:\\s*\\S+){0,${count}}`).exec(text)?.[0].trim() ?? '';

/** The last word of a text. */
export const lastWord = (text: string): string => text.trimEnd().split(/\s/).at(-1) ?? '';

/** True if a mark has a letter and so cannot be mistaken for a bracket of the text. */
export const hasLetter = (mark: string): boolean => /\p{L}/u.test(mark);

/** The length of the common prefix of two texts. */
export function commonStart(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

/** The start of the mark that an offset in a text would split, such as `<|tool_call>` after `<|`; the offset itself if it splits none. */
export function wholeMark(text: string, at: number): number {
  const begun = /<[^<>\s]*$/.exec(text.slice(0, at));
  return begun && /^[^<>\s]*>/.test(text.slice(at)) ? begun.index : at;
}

/** The length of the common suffix of two texts. */
export function commonEnd(one: string, other: string): number {
  let length = 0;
  while (length < one.length && length < other.length && one.at(-1 - length) === other.at(-1 - length)) length++;
  return length;
}

/** The length of the longest suffix of a text that is a proper prefix of a mark. */
export function overlap(text: string, mark: string): number {
  for (let length = Math.min(text.length, mark.length - 1); length > 0; length--) if (text.endsWith(mark.slice(0, length))) return length;
  return 0;
}

/** The source of a regular expression that matches a mark with any white space in it; empty for a mark of white space alone. */
export const markPattern = (mark: string): string =>
  coreOf(mark)
    .split(/\s+/)
    .map(word => word.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('\\s*');

/** Reads a text mark by mark, from its beginning. */
export class MarkReader {
  readonly text: string;
  at: number;

  constructor(text: string, at = 0) {
    this.text = text;
    this.at = at;
  }

  /** Advances past the text that a pattern matches here and returns it; undefined if it does not match. */
  take(pattern: string): string | undefined {
    const expression = new RegExp(pattern, 'uy');
    expression.lastIndex = this.at;
    const found = expression.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** Advances past a mark with any white space around it. @returns whether the mark was found */
  takeMark(mark: string): boolean {
    return this.take(`\\s*${markPattern(mark)}\\s*`) !== undefined;
  }
}
