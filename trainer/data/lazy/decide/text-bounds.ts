/** Bounds of the tokens of a text by its bytes, and what they show about the room that a prompt leaves. */
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
  /** Tokens next to those of the prompt. */
  readonly tokens: number;
  /** Tokens that have to fit behind it. */
  readonly needed: number;
}

export interface TextBounds {
  /** Whether a text surely has a token, with or without the space around it. */
  hasToken(text: string): boolean;
  /** Whether a text that begins with this byte surely has a token. */
  beginsToken(byte: number): boolean;
  /** The most tokens that a text of so many bytes can have. */
  most(bytes: number): number;
  count(text: string): number;
  /** Whether texts between special tokens have the same tokens alone. */
  readonly cutsAtSpecials: boolean;
  /** Whether a text of so many bytes surely leaves room. */
  bytesLeaveRoom(bytes: number, room: Room): boolean;
  /** By how many tokens texts have to have fewer than so many bytes can have, so that they leave room. */
  excess(bytes: number, room: Room): number;
  /** By how many tokens the words of a text have fewer than their bytes could have, whatever stands around it; `wanted` have to be found. */
  savedWithin(bytes: Buffer, place: TextPlace, wanted: number): number;
  /** Whether a prompt leaves room, by its bytes or its tokens; false for one that is tokenized in blocks. */
  leavesRoom(prompt: string, room: Room): boolean;
}

/** Longer texts are tokenized in blocks. */
const MAX_CHARACTERS = 60_000;

/** @param maxLength in tokens */
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
