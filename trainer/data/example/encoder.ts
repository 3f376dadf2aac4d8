/** Encodes consecutive stretches of text so that their concatenated ids equal the tokenizer's ids of the whole text. */
import type { TextTokenizer } from '../types.ts';

/** Longer text is encoded in blocks, because an encoder's time and memory grow faster than the length of its text. */
const BLOCK_CHARACTERS = 2 ** 16;

/** How far a block may grow in search of a line break before a letter; no tokenizer merges across such a break. */
const BLOCK_SEARCH = 2 ** 14;

const REMEMBERED_CHARACTERS = 512;
const REMEMBERED_TEXTS = 256;

export interface Encoder {
  /** Encodes the beginning of a sequence: with BOS if the tokenizer writes one, never with a closing EOS. */
  start(text: string): number[];
  /** Encodes the beginning of a sequence that writes its own special tokens. */
  startPlain(text: string): number[];
  /**
   * Encodes text that follows other text: without special tokens, and without the space that the tokenizer adds before a word at the start.
   */
  next(text: string): number[];
}

/**
 * Creates an encoder. A prompt is encoded alone, as in generation, and its completion by `next`, so no merge crosses the boundary.
 * SentencePiece tokenizers add a space before text. `next` checks once whether this tokenizer does; if so, it encodes the text after a line
 * break and removes the ids of that line break.
 */
export function createEncoder(tokenizer: TextTokenizer): Encoder {
  const plain = (text: string) => [...tokenizer.encode(text, { addSpecialTokens: false })];
  const anchor = plain('\n');
  const doubled = tokenizer.decode([...plain('a'), ...plain('a')], { skipSpecialTokens: false });
  const addsSpace = doubled !== 'aa' && anchor.length > 0;
  const nextBlock = (text: string) => {
    if (!addsSpace) return plain(text);
    const ids = plain(`\n${text}`);
    return anchor.every((id, index) => ids[index] === id) ? ids.slice(anchor.length) : plain(text);
  };
  const inBlocks = (text: string, first: (block: string) => number[]) => {
    if (text.length <= BLOCK_CHARACTERS) return first(text);
    const parts = textBlocks(text).map((block, index) => (index === 0 ? first(block) : nextBlock(block)));
    return parts.flat();
  };
  return {
    start: remembering(text =>
      inBlocks(text, block => withoutClosing([...tokenizer.encode(block, { addSpecialTokens: true })], tokenizer, block)),
    ),
    startPlain: remembering(text => inBlocks(text, plain)),
    next: remembering(text => (text === '' ? [] : inBlocks(text, nextBlock))),
  };

  /** Removes an EOS that the tokenizer adds by itself, but not one that the text spells out. */
  function withoutClosing(ids: number[], { eosIds }: TextTokenizer, text: string): number[] {
    const last = ids.at(-1);
    if (last === undefined || !eosIds.includes(last)) return ids;
    return plain(text).at(-1) === last ? ids : ids.slice(0, -1);
  }
}

/** Memoizes the ids of short texts, because templates and labels recur with every sample. The oldest entries are dropped first. */
function remembering(encode: (text: string) => readonly number[]): (text: string) => number[] {
  const known = new Map<string, readonly number[]>();
  return text => {
    if (text.length > REMEMBERED_CHARACTERS) return [...encode(text)];
    const ids = known.get(text) ?? encode(text);
    known.delete(text);
    known.set(text, ids);
    const [oldest] = known.size > REMEMBERED_TEXTS ? known.keys() : [];
    if (oldest !== undefined) known.delete(oldest);
    return [...ids];
  };
}

/** Cuts after line breaks that precede a letter. If the search finds none, it cuts between two characters at its end. */
function textBlocks(text: string): string[] {
  const blocks: string[] = [];
  const boundary = /\n(?=\p{L})/gu;
  for (let start = 0; start < text.length; ) {
    boundary.lastIndex = start + BLOCK_CHARACTERS;
    const limit = start + BLOCK_CHARACTERS + BLOCK_SEARCH;
    const found = limit >= text.length ? undefined : boundary.exec(text.slice(0, limit))?.index;
    const end = found === undefined ? safeCut(text, limit) : found + 1;
    blocks.push(text.slice(start, end));
    start = end;
  }
  return blocks;
}

/** The position, or the one before it if it would split a surrogate pair. */
export function safeCut(text: string, position: number): number {
  if (position >= text.length) return text.length;
  const unit = text.charCodeAt(position);
  return unit >= 0xdc00 && unit <= 0xdfff ? position - 1 : position;
}
