/** Marks of a chat template in text that a model wrote: space in them may differ. */

/** A text without the space around it. */
export const coreOf = (text: string): string => text.trim();

/** The beginning of a text up to the end of its first words, without space before them. */
export const firstWords = (text: string, count: number): string => new RegExp(`^(?:\\s*\\S+){0,${count}}`).exec(text)?.[0].trim() ?? '';

/** The last word of a text. */
export const lastWord = (text: string): string => text.trimEnd().split(/\s/).at(-1) ?? '';

/** Whether a mark has a letter, so that it is not taken for a bracket of the text. */
export const hasLetter = (mark: string): boolean => /\p{L}/u.test(mark);

/** The length of the beginning that two texts share. */
export function commonStart(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

/** The place where a mark begins that a place in a text divides, such as `<|tool_call>` behind `<|`; the place itself if it divides none. */
export function wholeMark(text: string, at: number): number {
  const begun = /<[^<>\s]*$/.exec(text.slice(0, at));
  return begun && /^[^<>\s]*>/.test(text.slice(at)) ? begun.index : at;
}

/** The length of the end that two texts share. */
export function commonEnd(one: string, other: string): number {
  let length = 0;
  while (length < one.length && length < other.length && one.at(-1 - length) === other.at(-1 - length)) length++;
  return length;
}

/** The length of the longest end of a text that is a beginning of a mark, and not all of it. */
export function overlap(text: string, mark: string): number {
  for (let length = Math.min(text.length, mark.length - 1); length > 0; length--) if (text.endsWith(mark.slice(0, length))) return length;
  return 0;
}

/** The source of an expression that matches a mark with any space in it; empty for a mark of space alone. */
export const markPattern = (mark: string): string =>
  coreOf(mark)
    .split(/\s+/)
    .map(word => word.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('\\s*');

/** Reads a text from its beginning on, mark by mark. */
export class MarkReader {
  readonly text: string;
  at: number;

  constructor(text: string, at = 0) {
    this.text = text;
    this.at = at;
  }

  /** Moves past the text that an expression matches here and returns it; undefined if it does not match. */
  take(pattern: string): string | undefined {
    const expression = new RegExp(pattern, 'uy');
    expression.lastIndex = this.at;
    const found = expression.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** Moves past a mark with any space around it. @returns whether it stands here */
  takeMark(mark: string): boolean {
    return this.take(`\\s*${markPattern(mark)}\\s*`) !== undefined;
  }
}
