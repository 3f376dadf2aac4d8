/**
 * Runs the pipeline of tokenizer.json: added tokens, normalizer, pre-tokenizer, model, post-processor, and back through the decoder. Ids
 * and texts are those of Hugging Face's `tokenizers`.
 */
import { isRecord } from '../../../narrow.ts';
import { type AddedToken, createAddedTokens } from './added-tokens.ts';
import { BYTE_CHARACTERS } from './byte-level.ts';
import { characterLength } from './characters.ts';
import type { Component } from './component.ts';
import { createDecoder } from './decoders.ts';
import { createModel, type ModelKind, modelKind } from './models.ts';
import { createNormalizer } from './normalizers.ts';
import { createPostProcessor, type Encoded, type PostProcess } from './post-processors.ts';
import { createPreTokenizer, type PreTokenizer } from './pre-tokenizers.ts';
import { readVocabulary, type Vocabulary } from './vocabulary.ts';

export interface Pipeline {
  readonly kind: ModelKind;
  /** The largest id plus one. */
  readonly vocabularySize: number;
  /** Returns the ids of one text. */
  encode(text: string, addSpecialTokens: boolean): number[];
  /** Encodes two texts, including special tokens. */
  encodePair(first: string, second: string): Encoded;
  /** Returns the text of ids; ids without a token are skipped. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string;
  tokenId(token: string): number | undefined;
  token(id: number): string | undefined;
  /** The texts of the special tokens. */
  readonly specialTexts: readonly string[];
  /** Present if the bytes of a text limit its number of tokens. */
  readonly byteTokens: ByteTokens | undefined;
}

/** Bounds on the number of tokens of a text, from its bytes. */
export interface ByteTokens {
  /** A text has at most this many tokens per UTF-8 byte, plus one. */
  readonly mostPerByte: number;
  /** True if a text certainly has a token, with or without the space around it. This depends only on its first character. */
  hasToken(text: string): boolean;
  /**
   * True if a text can be split at any `WORD_BREAK` without changing its tokens. Parts after a break have no more tokens than `mostPerByte`
   * allows.
   */
  readonly breaksAtSpaces: boolean;
  /** True if a text gets a prefix mark that it does not get after other text. */
  readonly hasPrefix: boolean;
}

/** An English letter or punctuation mark, followed by a space and another letter; a part starts at that space. */
export const WORD_BREAK = /[A-Za-z,.;:!?)](?= [A-Za-z])/g;

export interface Definition {
  readonly model: Component;
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly preTokenizer: unknown;
  readonly postProcessor: unknown;
  readonly decoder: unknown;
}

/** @throws Error for a component that is unknown, damaged, or unsupported */
export function createPipeline(definition: Definition): Pipeline {
  const vocabulary = readVocabulary(definition.model.vocab);
  const normalize = createNormalizer(definition.normalizer);
  const { split, spell } = createPreTokenizer(definition.preTokenizer);
  const model = createModel(definition.model, vocabulary, spell);
  const postProcess = createPostProcessor(definition.postProcessor);
  const decodeTokens = createDecoder(definition.decoder);
  const added = createAddedTokens(definition.addedTokens, vocabulary, normalize);
  const token = (id: number): string | undefined => added.token(id) ?? vocabulary.token(id);
  const vocabularySize = Math.max(vocabulary.largestId, added.largestId) + 1;
  checkAddedIds(postProcess, vocabularySize);

  // A text that starts with something that the normalizer removes has no first word in this sense.
  const looksForFirst = normalize !== undefined && JSON.stringify(definition.preTokenizer ?? null).includes('"first"');
  const losesStart = (section: string, normalized: string): boolean =>
    looksForFirst && normalized !== '' && normalize?.(section.slice(characterLength(section, 0))) === normalized;

  let ids: number[] = [];
  const addWords = split(word => {
    for (const id of model(word)) ids.push(id);
  });
  const encodeOne = (written: string): number[] => {
    ids = [];
    // Half a surrogate pair is not a character, and cannot even be written in UTF-8.
    const text = written.isWellFormed() ? written : written.toWellFormed();
    for (const raw of added.cutRaw(text)) {
      if (raw.id !== undefined) {
        ids.push(raw.id);
        continue;
      }
      const section = text.slice(raw.from, raw.to);
      const normalized = normalize?.(section) ?? section;
      for (const part of added.cutNormalized(normalized)) {
        if (part.id !== undefined) ids.push(part.id);
        else addWords(normalized.slice(part.from, part.to), raw.from === 0 && part.from === 0 && !losesStart(section, normalized));
      }
    }
    return ids;
  };
  const typed = (text: string): Encoded => {
    const own = encodeOne(text);
    return { ids: own, types: own.map(() => 0) };
  };
  const around = frameOf(postProcess);

  return {
    kind: modelKind(definition.model),
    vocabularySize,
    encode: (text, addSpecialTokens) => {
      if (!addSpecialTokens) return encodeOne(text);
      return around === undefined ? [...postProcess(typed(text), undefined).ids] : [...around.before, ...encodeOne(text), ...around.after];
    },
    encodePair: (first, second) => postProcess(typed(first), typed(second)),
    decode: (ids, skipSpecialTokens) => {
      const tokens = ids
        .map(token)
        .filter((found): found is string => found !== undefined && !(skipSpecialTokens && added.isSpecial(found)));
      return decodeTokens === undefined ? tokens.join(' ') : decodeTokens(tokens).join('');
    },
    tokenId: text => added.id(text) ?? vocabulary.id(text),
    token,
    specialTexts: added.specialTexts,
    byteTokens: byteTokens(definition, vocabulary, wordsOf(split, PARTS.join(''))) ?? pieceTokens(definition, vocabulary),
  };
}

/** Parts between breaks, which show where a pre-tokenizer splits a text: its splits do not depend on the specific letters. */
const PARTS = ['one', ' a', ' Wordlike', ' THING,', ' x.', ' Yz', ' ABC;', ' d', ' e:', ' F!', ' gh?', ' (I)', ' J.K.', ' l', ' M)', ' no'];

function wordsOf(split: PreTokenizer['split'], text: string): string[] {
  const words: string[] = [];
  split(word => void words.push(word))(text, true);
  return words;
}

/** Number of remaining characters after each part of a text. */
function endsOf(parts: readonly string[]): ReadonlySet<number> {
  let left = parts.join('').length;
  return new Set(
    parts.map(({ length }) => {
      left -= length;
      return left;
    }),
  );
}

const crossesBreak = ({ content }: AddedToken): boolean => content.search(WORD_BREAK) >= 0;

/** Maximum growth of a text's UTF-8 length through NFC (Unicode Standard Annex 15, section 12). */
const NFC_GROWTH = 3;

/** Bounds for a byte alphabet: each token stands for at least one byte; the additional one is the space that some tokenizers prepend. */
function byteTokens(
  { model, normalizer, preTokenizer, addedTokens }: Definition,
  vocabulary: Vocabulary,
  words: readonly string[],
): ByteTokens | undefined {
  const cuts = JSON.stringify(preTokenizer ?? null);
  if (modelKind(model) !== 'BPE' || !cuts.includes('"ByteLevel"') || cuts.includes('"Removed"')) return undefined;
  // Some vocabularies lack bytes that do not occur in their training texts.
  const missing = new Set(BYTE_CHARACTERS.flatMap((character, byte) => (vocabulary.id(character) === undefined ? byte : [])));
  const isPlain = normalizer === null || normalizer === undefined;
  if (!isPlain && (missing.size > 0 || !isRecord(normalizer) || normalizer.type !== 'NFC')) return undefined;
  return {
    mostPerByte: isPlain ? 1 : NFC_GROWTH,
    breaksAtSpaces: [...endsOf(PARTS)].every(end => endsOf(words).has(end)) && !addedTokens.some(crossesBreak),
    hasPrefix: false,
    hasToken: text => {
      const first = text.trimStart().codePointAt(0);
      return first !== undefined && (missing.size === 0 || Buffer.from(String.fromCodePoint(first)).some(byte => !missing.has(byte)));
    },
  };
}

/** The character for a space in SentencePiece vocabularies. */
const SPACE_MARK = '\u2581';
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/**
 * Bounds for SentencePiece: a piece stands for at least one character. A character without a piece is encoded as its bytes, and a space as
 * a character that has a piece.
 */
function pieceTokens({ model, normalizer, preTokenizer, addedTokens }: Definition, vocabulary: Vocabulary): ByteTokens | undefined {
  const isPlain = model.byte_fallback === true && !model.continuing_subword_prefix && !model.end_of_word_suffix;
  if (modelKind(model) !== 'BPE' || !isPlain) return undefined;
  if ([SPACE_MARK, ...BYTES].some(piece => vocabulary.id(piece) === undefined)) return undefined;
  const steps = [...stepsIn(normalizer), ...stepsIn(preTokenizer)];
  if (!steps.every(marksSpaces)) return undefined;
  const hasPrefix = steps.some(({ type }) => type === 'Prepend' || type === 'Metaspace');
  // Each text between added tokens may get a prefix mark, which a byte of such a token must account for.
  if (hasPrefix && addedTokens.some(({ content }) => Buffer.byteLength(content) < 2)) return undefined;
  return { mostPerByte: 1, breaksAtSpaces: false, hasPrefix, hasToken: text => text.trim() !== '' };
}

/** The steps of a normalizer or pre-tokenizer. */
function stepsIn(value: unknown): readonly Component[] {
  if (!isRecord(value)) return [];
  const inner = value.type === 'Sequence' ? (value.normalizers ?? value.pretokenizers) : undefined;
  return Array.isArray(inner) ? inner.flatMap(stepsIn) : [value];
}

/** True if a step only marks the spaces of a text and splits it. */
function marksSpaces({ type, pattern, content, prepend, replacement = SPACE_MARK, behavior }: Component): boolean {
  const isSpace = isRecord(pattern) && pattern.String === ' ';
  if (type === 'Replace') return isSpace && content === SPACE_MARK;
  if (type === 'Prepend') return prepend === SPACE_MARK;
  if (type === 'Metaspace') return replacement === SPACE_MARK;
  return type === 'Split' && isSpace && behavior !== 'Removed';
}

/** The ids before and after a text; undefined if the text does not occur exactly once in the result. */
function frameOf(postProcess: PostProcess): { readonly before: readonly number[]; readonly after: readonly number[] } | undefined {
  const text = -1;
  const { ids } = postProcess({ ids: [text], types: [0] }, undefined);
  const at = ids.indexOf(text);
  return at < 0 || ids.lastIndexOf(text) > at ? undefined : { before: ids.slice(0, at), after: ids.slice(at + 1) };
}

/** @throws Error if the ids added to one or two texts are outside the vocabulary, since no embedding has a row for them */
function checkAddedIds(postProcess: PostProcess, vocabularySize: number): void {
  const empty: Encoded = { ids: [], types: [] };
  for (const second of [undefined, empty]) {
    const wrong = postProcess(empty, second).ids.find(id => id >= vocabularySize);
    if (wrong !== undefined)
      throw new Error(`its post_processor adds the id ${wrong} to a text, but its vocabulary ends at ${vocabularySize - 1}`);
  }
}
