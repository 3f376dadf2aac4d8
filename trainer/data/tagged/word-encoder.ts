/** Encodes the words of a sentence one by one, so that each token belongs to a word: the alignment of `word_ids` in Transformers. */
import { type SegmentTokenizer, singleTemplate } from '../example/segment-encoder.ts';

export interface EncodedWords {
  /** Token ids, including special tokens. */
  readonly ids: Int32Array;
  /** Index of each word's first token; −1 for a word that has no token or is cut off. */
  readonly firstTokens: Int32Array;
  readonly truncated: boolean;
}

export interface WordEncoder {
  /** Encodes to at most `maxLength` tokens; the last ones are cut off. */
  encode(words: readonly string[], maxLength: number): EncodedWords;
}

/** Arbitrary words that show how the tokenizer writes a word within a text. */
const PROBE = ['one', 'two'] as const;

/** @throws DataError if the tokenizer does anything other than adding tokens around texts */
export function createWordEncoder(tokenizer: SegmentTokenizer): WordEncoder {
  const plain = (text: string): readonly number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const { before, after } = singleTemplate(tokenizer, plain(PROBE[0]));
  const space = spaceBefore(plain);
  return {
    encode(words, maxLength) {
      const room = Math.max(0, maxLength - before.length - after.length);
      const tokens: number[] = [];
      const firstTokens = new Int32Array(words.length).fill(-1);
      for (const [word, text] of words.entries()) {
        if (tokens.length > room) break;
        const own = plain(`${space}${text}`);
        if (own.length > 0 && tokens.length < room) firstTokens[word] = before.length + tokens.length;
        for (const id of own) tokens.push(id);
      }
      const ids = Int32Array.from([...before, ...tokens.slice(0, room), ...after]);
      return { ids, firstTokens, truncated: tokens.length > room };
    },
  };
}

/**
 * The space to add before each word, or ''. Byte-level tokenizers encode a word in the middle of a text with the space before it, so words
 * get one, as with `add_prefix_space` in Transformers. Other tokenizers mark words by themselves.
 */
function spaceBefore(plain: (text: string) => readonly number[]): string {
  const running = plain(PROBE.join(' ')).slice(plain(PROBE[0]).length).join();
  return running !== plain(PROBE[1]).join() && running === plain(` ${PROBE[1]}`).join() ? ' ' : '';
}
