/** The text of each token of a sequence, in its context. */
import type { ShownToken } from '../../protocol/view/data.ts';
import type { TextTokenizer } from '../types.ts';

/** Maximum number of bytes of a character, and so of tokens that form one: a token has at least one byte. */
const MAX_BYTES = 4;

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
