/** Bounds on the number of tokens of a text, derived from its bytes, and the room that a prompt leaves according to them. */
import type { ByteTokens } from '../../../format/tokenizer/tokenizers/pipeline.ts';
import type { TextTokenizer } from '../../types.ts';
import { type TextPlace, WordBounds } from './word-bounds.ts';

/** A tokenizer that may know how many tokens a text can have. */
export interface BoundedTokenizer extends TextTokenizer {
  readonly byteTokens?: ByteTokens | undefined;
  readonly specialTexts: readonly string[];
}

/** The room that a prompt has to leave. */
export interface Room {
  /** Number of tokens in addition to the prompt's. */
  readonly tokens: number;
  /** Number of tokens that must fit after the prompt. */
  readonly needed: number;
}

export interface TextBounds {
  /** True if a text is certain to have a token, with or without the white space around it. */
  hasToken(text: string): boolean;
  /** True if a text that begins with this byte is certain to have a token. */
  beginsToken(byte: number): boolean;
  /** The maximum number of tokens of a text with this many bytes. */
  most(bytes: number): number;
  count(text: string): number;
  /** Whether texts between special tokens have the same tokens as when they are encoded separately. */
  readonly cutsAtSpecials: boolean;
  /** True if a text with this many bytes is certain to leave room. */
  bytesLeaveRoom(bytes: number, room: Room): boolean;
  /** The number of tokens by which texts must fall below the maximum for this many bytes to leave room. */
  excess(bytes: number, room: Room): number;
  /**
   * A lower bound on how far the words of a text fall below the maximum number of tokens of their bytes, whatever surrounds the text. Stops
   * once `wanted` is reached.
   */
  savedWithin(bytes: Buffer, place: TextPlace, wanted: number): number;
  /** True if a prompt leaves room, by its bytes or its tokens; false for a prompt that is tokenized in blocks. */
  leavesRoom(prompt: string, room: Room): boolean;
}

/** Texts of at least this length are tokenized in blocks. */
const MAX_CHARACTERS = 60_000;

/** Creates the bounds of a tokenizer. @param maxLength in tokens */
export function textBounds(tokenizer: BoundedTokenizer, maxLength: number): TextBounds {
  const {
    mostPerByte = Number.POSITIVE_INFINITY,
    hasToken = () => false,
    breaksAtSpaces = false,
    hasPrefix = true,
  } = tokenizer.byteTokens ?? {};
  const most = (bytes: number): number => mostPerByte * bytes + 1;
  const count = (text: string): number => tokenizer.encode(text, { addSpecialTokens: false }).length;
  const words = breaksAtSpaces ? new WordBounds(count, mostPerByte) : undefined;
  const excessOf = (bytes: number, { tokens, needed }: Room): number => tokens + most(bytes) + needed - maxLength;
  const begins = Uint8Array.from({ length: 128 }, (_, byte) => Number(hasToken(String.fromCharCode(byte))));
  return {
    hasToken,
    beginsToken: byte => begins[byte] === 1,
    most,
    count,
    cutsAtSpecials: !hasPrefix,
    bytesLeaveRoom: (bytes, room) => excessOf(bytes, room) <= 0,
    excess: excessOf,
    savedWithin: (bytes, place, wanted) => words?.savedWithin(bytes, place, wanted) ?? 0,
    leavesRoom: (prompt, room) => {
      if (prompt.length >= MAX_CHARACTERS) return false;
      const excess = excessOf(Buffer.byteLength(prompt), room);
      if (excess <= 0) return true;
      return words ? words.saves(prompt, excess) : room.tokens + count(prompt) + room.needed <= maxLength;
    },
  };
}
