/** Encodes one text or a pair as a classifier reads them, with special tokens, cut to length. */
import { DataError } from '../data-error.ts';
import { safeCut } from './encoder.ts';

/** The part of a tokenizer that this encoder needs. */
export interface SegmentTokenizer {
  encode(text: string, options: { readonly addSpecialTokens: boolean }): readonly number[];
  encodePair(first: string, second: string): { readonly ids: readonly number[]; readonly types: readonly number[] };
}

export interface Segments {
  readonly ids: Int32Array;
  /** The start of the second segment; the length if there is no second segment. */
  readonly secondAt: number;
  readonly truncated: boolean;
}

export interface SegmentEncoder {
  /** Encodes to at most `maxLength` tokens. The longer text loses its last tokens first, as with `longest_first` in Transformers. */
  encode(first: string, second: string | undefined, maxLength: number): Segments;
}

/** The special tokens around one text, or around two. */
interface Template {
  readonly before: readonly number[];
  readonly between: readonly number[];
  readonly after: readonly number[];
  /** Number of the special tokens between the texts that belong to the first segment. */
  readonly firstShare: number;
}

/** Arbitrary words that show which special tokens the tokenizer adds around texts. */
const PROBE = ['one', 'two'] as const;

/** Characters that are encoded of a long text per token that may be kept: no tokenizer in use has longer tokens on average. */
const CHARACTERS_PER_TOKEN = 16;

/** @throws DataError if the tokenizer does anything other than adding tokens around texts */
export function createSegmentEncoder(tokenizer: SegmentTokenizer): SegmentEncoder {
  const plain = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const single = singleTemplate(tokenizer, plain(PROBE[0]));
  let pair: Template | undefined;
  return {
    encode(first, second, maxLength) {
      const read = (text: string) => plain(text.slice(0, safeCut(text, maxLength * CHARACTERS_PER_TOKEN)));
      if (second === undefined) {
        const ids = read(first);
        const room = maxLength - single.before.length - single.after.length;
        const cut = ids.slice(0, Math.max(0, room));
        const joined = Int32Array.from([...single.before, ...cut, ...single.after]);
        return { ids: joined, secondAt: joined.length, truncated: ids.length > cut.length };
      }
      pair ??= pairTemplate(tokenizer, plain(PROBE[0]), plain(PROBE[1]));
      const { before, between, after, firstShare } = pair;
      const texts = [read(first), read(second)] as const;
      const room = Math.max(0, maxLength - before.length - between.length - after.length);
      const [a, b] = cutLongest(texts, room);
      return {
        ids: Int32Array.from([...before, ...a, ...between, ...b, ...after]),
        secondAt: before.length + a.length + firstShare,
        truncated: a.length + b.length < texts[0].length + texts[1].length,
      };
    },
  };
}

/** Removes tokens one by one from the end of the longer list; from the second list if both are equally long. */
function cutLongest([a, b]: readonly [readonly number[], readonly number[]], room: number): [readonly number[], readonly number[]] {
  let [m, n] = [a.length, b.length];
  while (m + n > room) {
    if (m > n) m--;
    else n--;
  }
  return [a.slice(0, m), b.slice(0, n)];
}

/**
 * The special tokens around one text.
 * @param word ids of the probe without special tokens
 * @throws DataError as {@link createSegmentEncoder}
 */
export function singleTemplate(tokenizer: SegmentTokenizer, word: readonly number[]): Pick<Template, 'before' | 'after'> {
  const whole = tokenizer.encode(PROBE[0], { addSpecialTokens: true });
  const at = indexOf(whole, word, 0);
  return { before: whole.slice(0, at), after: whole.slice(at + word.length) };
}

function pairTemplate(tokenizer: SegmentTokenizer, first: readonly number[], second: readonly number[]): Template {
  const { ids, types } = tokenizer.encodePair(...PROBE);
  const at = indexOf(ids, first, 0);
  const then = indexOf(ids, second, at + first.length);
  const between = ids.slice(at + first.length, then);
  return {
    before: ids.slice(0, at),
    between,
    after: ids.slice(then + second.length),
    firstShare: between.filter((_, i) => types[at + first.length + i] === 0).length,
  };
}

function indexOf(ids: readonly number[], part: readonly number[], from: number): number {
  for (let at = from; at + part.length <= ids.length; at++) if (part.every((id, i) => ids[at + i] === id)) return at;
  throw new DataError({
    problem: 'the tokenizer changes a text when it adds its special tokens',
    advice: 'Such a tokenizer can not be used for classification; report it with the name of the model',
  });
}
