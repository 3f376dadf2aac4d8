/** Counts the tokens of common words once, to prove without tokenizing long texts that they have fewer tokens than bytes. */

const [SPACE, BACKSLASH] = [0x20, 0x5c];

/** Six-bit codes, from 1, of the characters of words; 0 for other bytes. Characters that may precede a break have the codes 1 to END. */
const CODES = new Uint8Array(256);
const ENDS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.;:!?)';
for (const [i, byte] of [...Buffer.from(`${ENDS}-(/`)].entries()) CODES[byte] = i + 1;
const LETTERS = 52;
const END = ENDS.length;

const BITS = 6;
const IN_NUMBER = 5;
/** The tokens of longer words are counted each time. */
const MAX_SIGNS = 3 * IN_NUMBER;
/** Maximum number of words to remember: nearly all that recur. */
const MAX_WORDS = 2 ** 15;
const PLACES = 2 * MAX_WORDS;
const MAX_TOKENS = 255;

/** Token counts of words with a leading space, in a hash table with open addressing. The key of a word is three integers. */
class KnownWords {
  private readonly keys = new Int32Array(3 * PLACES);
  private readonly tokens = new Uint8Array(PLACES);
  private words = 0;

  /** @param count counts the tokens of an unknown word @returns MAX_TOKENS if there may be more */
  tokensOf(first: number, second: number, third: number, count: () => number): number {
    const { keys, tokens } = this;
    const mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b) ^ Math.imul(third, 0xc2b2ae35);
    let place = (mixed ^ (mixed >>> 15)) & (PLACES - 1);
    for (; keys[3 * place] !== 0; place = (place + 1) & (PLACES - 1))
      if (keys[3 * place] === first && keys[3 * place + 1] === second && keys[3 * place + 2] === third) return tokens[place] as number;
    const found = Math.min(MAX_TOKENS, count());
    if (this.words === MAX_WORDS) return found;
    this.words++;
    keys.set([first, second, third], 3 * place);
    tokens[place] = found;
    return found;
  }
}

/**
 * The maximum number of tokens of texts whose parts between breaks (`WORD_BREAK`) are tokenized separately. Words are looked up, other
 * parts counted.
 */
export class WordBounds {
  private readonly count: (text: string) => number;
  private readonly mostPerByte: number;
  private readonly known = new KnownWords();
  /** Bounds of the parts of a text that are not such words. */
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private others = 0;
  /** Start of the last part of a text, in bytes. */
  private lastStart = 0;

  /**
   * @param count returns the number of tokens of a part
   * @param mostPerByte maximum number of tokens per byte; a text that does not follow a break may have one more
   */
  constructor(count: (text: string) => number, mostPerByte: number) {
    this.count = count;
    this.mostPerByte = mostPerByte;
  }

  /** True if a text has at least `wanted` tokens fewer than the maximum for its bytes. Counts no more of the text than necessary. */
  saves(text: string, wanted: number): boolean {
    const bytes = Buffer.from(text);
    const saved = this.savedWithin(bytes, { from: 0, to: bytes.length, hasEscapes: false }, wanted);
    if (saved >= wanted) return true;
    this.addOther(this.lastStart, bytes.length);
    return saved + this.savedByOthers(bytes, wanted - saved) >= wanted;
  }

  /**
   * A lower bound on how far the words inside a text fall below the maximum number of tokens of their bytes, whatever surrounds the text.
   * Stops once `wanted` is reached; otherwise `starts` and `ends` hold the other parts before the last.
   */
  savedWithin(bytes: Buffer, { from, to, hasEscapes }: TextPlace, wanted: number): number {
    this.others = 0;
    let [saved, start, signs, first, second, third] = [0, from, 0, 0, 0, 0];
    // Whether the part so far is a word, and whether the last character may precede a break.
    let isWord = false;
    let isEnd = false;
    for (let i = from; i < to; i++) {
      const byte = bytes[i] as number;
      const code = CODES[byte] as number;
      if (code > 0) {
        if (signs < IN_NUMBER) first = (first << BITS) | code;
        else if (signs < 2 * IN_NUMBER) second = (second << BITS) | code;
        else third = (third << BITS) | code;
        signs++;
        isEnd = code <= END;
        continue;
      }
      if (isEnd && byte === SPACE && i + 1 < to && isLetter(bytes[i + 1] as number)) {
        if (isWord && signs <= MAX_SIGNS) saved += this.savedByWord(bytes, start, i, first, second, third);
        else this.addOther(start, i);
        if (saved >= wanted) return saved;
        start = i;
        signs = 0;
        first = 0;
        second = 0;
        third = 0;
        isWord = true;
      } else isWord = false;
      isEnd = false;
      if (hasEscapes && byte === BACKSLASH) i++;
    }
    this.lastStart = start;
    return saved;
  }

  // A word is passed as offsets and integers: allocating an object for each would take longer than everything else.
  private savedByWord(bytes: Buffer, start: number, end: number, first: number, second: number, third: number): number {
    const tokens = this.known.tokensOf(first, second, third, () => this.count(bytes.toString('latin1', start, end)));
    return tokens === MAX_TOKENS ? 0 : this.mostPerByte * (end - start) - tokens;
  }

  private addOther(start: number, end: number): void {
    this.starts[this.others] = start;
    this.ends[this.others++] = end;
  }

  private savedByOthers(bytes: Buffer, wanted: number): number {
    let saved = 0;
    for (let i = 0; i < this.others && saved < wanted; i++) {
      const [start, end] = [this.starts[i] as number, this.ends[i] as number];
      // The first part does not follow a break.
      const most = this.mostPerByte * (end - start) + Number(i === 0);
      saved += most - this.count(bytes.toString('utf8', start, end));
    }
    return saved;
  }
}

/** The range of a text within bytes. */
export interface TextPlace {
  readonly from: number;
  readonly to: number;
  /** Whether a backslash with the next byte stands for another character. */
  readonly hasEscapes: boolean;
}

const isLetter = (byte: number): boolean => {
  const code = CODES[byte] as number;
  return code > 0 && code <= LETTERS;
};
