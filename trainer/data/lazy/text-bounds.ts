/** Bounds of the tokens of a text by its bytes, and what they show about the room that a prompt leaves. */
import { type ByteTokens, WORD_BREAK } from '../../format/tokenizer/tokenizers/pipeline.ts';
import type { TextTokenizer } from '../types.ts';

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
  /** The most tokens that a text of so many bytes can have. */
  most(bytes: number): number;
  count(text: string): number;
  /** Whether texts between special tokens have the same tokens alone. */
  readonly cutsAtSpecials: boolean;
  /** Whether a text of so many bytes surely leaves room. */
  bytesLeaveRoom(bytes: number, room: Room): boolean;
  /** Whether a prompt leaves room, by its bytes or its tokens; false for one that is tokenized in blocks. */
  leavesRoom(prompt: string, room: Room): boolean;
}

/** Longer texts are tokenized in blocks. */
const MAX_CHARACTERS = 60_000;

/** Characters for each token that is saved by counting the beginning of a text: three bytes of four, with some to spare. */
const CHARACTERS_PER_TOKEN = 1.6;
/** A text is not worth cutting where this share of it has to be counted. */
const MOST_COUNTED = 0.75;

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
  /** Whether the tokens of the beginning of a text and the bytes of its rest leave room. @param excess tokens by which all of its bytes do not */
  const beginningLeavesRoom = (text: string, excess: number): boolean => {
    const wanted = Math.ceil(excess * CHARACTERS_PER_TOKEN) + 8;
    if (!breaksAtSpaces || wanted > MOST_COUNTED * text.length) return false;
    WORD_BREAK.lastIndex = wanted;
    const at = (WORD_BREAK.exec(text)?.index ?? text.length - 1) + 1;
    const beginning = text.slice(0, at);
    return count(beginning) + excess <= mostPerByte * Buffer.byteLength(beginning);
  };
  return {
    hasToken,
    most,
    count,
    cutsAtSpecials: !hasPrefix,
    bytesLeaveRoom: (bytes, { tokens, needed }) => tokens + most(bytes) + needed <= maxLength,
    leavesRoom: (prompt, { tokens, needed }) => {
      if (prompt.length >= MAX_CHARACTERS) return false;
      const excess = tokens + most(Buffer.byteLength(prompt)) + needed - maxLength;
      return excess <= 0 || beginningLeavesRoom(prompt, excess) || tokens + count(prompt) + needed <= maxLength;
    },
  };
}
