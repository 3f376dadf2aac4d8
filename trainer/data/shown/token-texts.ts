/** The text of each token of a sequence, in its context. */
import type { ShownToken } from '../../protocol/view/data.ts';
import type { TextTokenizer } from '../types.ts';

/** Maximum number of bytes of a character, and so of tokens that form one: a token has at least one byte. */
const MAX_BYTES = 4;

/** Number of equal special tokens from which they are shown once, with their number: an image has hundreds. */
const MANY = 5;

const repeated = (text: string, count: number): string => `${text}×${count}`;

function repeatsOf(ids: ArrayLike<number>, from: number): number {
  let to = from + 1;
  while (to < ids.length && ids[to] === ids[from]) to++;
  return to - from;
}

const isSpecial = (id: number | undefined, tokenizer: Pick<TextTokenizer, 'decode'>): boolean =>
  id !== undefined && tokenizer.decode([id], { skipSpecialTokens: true }) === '';

/** A text with each run of equal special tokens, such as those of an image, written once with their number. */
export const withoutRepeats = (text: string): string =>
  text.replace(/(<[^<>\s]{1,60}>)\1{4,}/g, (run: string, one: string) => repeated(one, run.length / one.length));

/**
 * The tokens of a sequence with their texts; tokens that form a character together are merged. Each is decoded together with the one before
 * it, because many tokenizers write a word differently at the start of a text.
 */
export function tokenTexts(ids: ArrayLike<number>, tokenizer: Pick<TextTokenizer, 'decode'>): ShownToken[] {
  const decode = (from: number, to: number): string =>
    tokenizer.decode(Array.prototype.slice.call(ids, from, to), { skipSpecialTokens: false });
  const shown: ShownToken[] = [];
  let [before, from] = [0, 0];
  while (from < ids.length) {
    const repeats = repeatsOf(ids, from);
    if (repeats >= MANY && isSpecial(ids[from], tokenizer)) {
      shown.push({ text: repeated(decode(from, from + 1), repeats), ids: Array.prototype.slice.call(ids, from, from + repeats) });
      [before, from] = [from + repeats - 1, from + repeats];
      continue;
    }
    const known = decode(before, from);
    let to = from + 1;
    let both = decode(before, to);
    while (both.endsWith('\uFFFD') && to < ids.length && to - from < MAX_BYTES) both = decode(before, ++to);
    // A decoder may change the text before a token, for example to join words and punctuation.
    const text = both.startsWith(known) ? both.slice(known.length) : decode(from, to);
    shown.push({ text, ids: Array.prototype.slice.call(ids, from, to) });
    [before, from] = [from, to];
  }
  return shown;
}
