/** Counts the tokens of common words once, so that long texts need not be tokenized to know that they have fewer tokens than bytes. */

const [SPACE, BACKSLASH] = [0x20, 0x5c];

/** Six bits for each sign of a word, from 1; 0 for bytes that words do not have. Signs that stand in front of breaks are 1 to END. */
const CODES = new Uint8Array(256);
const ENDS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.;:!?)';
for (const [i, byte] of [...Buffer.from(`${ENDS}-(/`)].entries()) CODES[byte] = i + 1;
const LETTERS = 52;
const END = ENDS.length;

const BITS = 6;
const IN_NUMBER = 5;
/** Longer words are counted each time. */
const MOST_SIGNS = 3 * IN_NUMBER;
/** Words that are remembered: nearly all of those that come back. */
const MOST_WORDS = 2 ** 15;
const PLACES = 2 * MOST_WORDS;
const MOST_TOKENS = 255;

/** The tokens of words with a space in front, in a table with open addressing: a word is three numbers. */
class KnownWords {
  private readonly keys = new Int32Array(3 * PLACES);
  private readonly tokens = new Uint8Array(PLACES);
  private words = 0;

  /** @param count counts the tokens of a word that is not known @returns MOST_TOKENS where there may be more */
  tokensOf(first: number, second: number, third: number, count: () => number): number {
    const { keys, tokens } = this;
    const mixed = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b) ^ Math.imul(third, 0xc2b2ae35);
    let place = (mixed ^ (mixed >>> 15)) & (PLACES - 1);
    for (; keys[3 * place] !== 0; place = (place + 1) & (PLACES - 1))
      if (keys[3 * place] === first && keys[3 * place + 1] === second && keys[3 * place + 2] === third) return tokens[place] as number;
    const found = Math.min(MOST_TOKENS, count());
    if (this.words === MOST_WORDS) return found;
    this.words++;
    keys.set([first, second, third], 3 * place);
    tokens[place] = found;
    return found;
  }
}

/** The most tokens of texts that have the tokens of their parts between breaks (`WORD_BREAK`): words are looked up, other parts counted. */
export class WordBounds {
  private readonly count: (text: string) => number;
  private readonly mostPerByte: number;
  private readonly known = new KnownWords();
  /** The parts of a text that are no such words. */
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private others = 0;
  /** The first byte of the last part of a text. */
  private lastStart = 0;

  /**
   * @param count the tokens of a part
   * @param mostPerByte tokens of a text for each of its bytes; one that is no part behind a break may have one more
   */
  constructor(count: (text: string) => number, mostPerByte: number) {
    this.count = count;
    this.mostPerByte = mostPerByte;
  }

  /** Whether a text has at least so many tokens fewer than the most that its bytes can have. No more of it is counted than that takes. */
  saves(text: string, wanted: number): boolean {
    const bytes = Buffer.from(text);
    const saved = this.savedWithin(bytes, { from: 0, to: bytes.length, hasEscapes: false }, wanted);
    if (saved >= wanted) return true;
    this.addOther(this.lastStart, bytes.length);
    return saved + this.savedByOthers(bytes, wanted - saved) >= wanted;
  }

  /**
   * By how many tokens the words inside of a text have fewer than their bytes could have, whatever stands around the text. It is looked at until
   * there are enough, and otherwise the places of other parts in front of the last are in `starts` and `ends`.
   */
  savedWithin(bytes: Buffer, { from, to, hasEscapes }: TextPlace, wanted: number): number {
    this.others = 0;
    let [saved, start, signs, first, second, third] = [0, from, 0, 0, 0, 0];
    // Whether the part so far is a word, and the last sign may stand in front of a break.
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
        if (isWord && signs <= MOST_SIGNS) saved += this.savedByWord(bytes, start, i, first, second, third);
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

  // A word is its place and its numbers: an object for each would take more than all else.
  private savedByWord(bytes: Buffer, start: number, end: number, first: number, second: number, third: number): number {
    const tokens = this.known.tokensOf(first, second, third, () => this.count(bytes.toString('latin1', start, end)));
    return tokens === MOST_TOKENS ? 0 : this.mostPerByte * (end - start) - tokens;
  }

  private addOther(start: number, end: number): void {
    this.starts[this.others] = start;
    this.ends[this.others++] = end;
  }

  private savedByOthers(bytes: Buffer, wanted: number): number {
    let saved = 0;
    for (let i = 0; i < this.others && saved < wanted; i++) {
      const [start, end] = [this.starts[i] as number, this.ends[i] as number];
      // No break is in front of the first.
      const most = this.mostPerByte * (end - start) + Number(i === 0);
      saved += most - this.count(bytes.toString('utf8', start, end));
    }
    return saved;
  }
}

/** The place of a text among bytes. */
export interface TextPlace {
  readonly from: number;
  readonly to: number;
  /** Whether a backslash and what follows it stand for another sign. */
  readonly hasEscapes: boolean;
}

const isLetter = (byte: number): boolean => {
  const code = CODES[byte] as number;
  return code > 0 && code <= LETTERS;
};
