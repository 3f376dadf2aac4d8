/** The text of each token of a sequence, as it reads among its neighbors. */
import type { ShownToken } from '../../protocol/view/data.ts';
import type { TextTokenizer } from '../types.ts';

/** A character takes at most four bytes, and a token at least one. */
const MOST_BYTES = 4;

/**
 * Tokens of a sequence with their texts; tokens that are a character only together become one. Each is decoded behind the one before it,
 * since many tokenizers write a word differently at the start of a text.
 */
export function tokenTexts(ids: ArrayLike<number>, tokenizer: Pick<TextTokenizer, 'decode'>): ShownToken[] {
  const decode = (from: number, to: number): string =>
    tokenizer.decode(Array.prototype.slice.call(ids, from, to), { skipSpecialTokens: false });
  const shown: ShownToken[] = [];
  let [before, from] = [0, 0];
  while (from < ids.length) {
    const known = decode(before, from);
    let to = from + 1;
    let both = decode(before, to);
    while (both.endsWith('\uFFFD') && to < ids.length && to - from < MOST_BYTES) both = decode(before, ++to);
    // A decoder may change what is before a token, as one that joins words and punctuation does.
    const text = both.startsWith(known) ? both.slice(known.length) : decode(from, to);
    shown.push({ text, ids: Array.prototype.slice.call(ids, from, to) });
    [before, from] = [from, to];
  }
  return shown;
}
