/** Text ⇄ token ids, from the tokenizer files of a model (tokenizer.json and related files). */

import { isRecord } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { ModelFileError } from '../model-file-error.ts';
import type { SpecialSettings } from './configured-tokens.ts';
import { configuredTokens, tokenText } from './configured-tokens.ts';
import { type DecodeStream, decodeStream } from './token-stream.ts';
import { TextLimitError } from './tokenizers/component-limits.ts';
import { cleanUp } from './tokenizers/decoders.ts';
import { type ByteTokens, createPipeline, type Pipeline } from './tokenizers/pipeline.ts';
import { entriesOf } from './tokenizers/vocabulary.ts';

export interface Tokenizer {
  /**
   * Encodes a text. `addSpecialTokens` adds those of the model's post-processor (a begin token, `[CLS]` … `[SEP]`); special tokens in the
   * text are recognized either way.
   */
  encode(text: string, options: { readonly addSpecialTokens: boolean }): number[];
  /** Encodes two texts, joined by the model's post-processor including special tokens; `types` is the segment of each token. */
  encodePair(first: string, second: string): { readonly ids: number[]; readonly types: number[] };
  decode(ids: readonly number[], options: { readonly skipSpecialTokens: boolean }): string;
  /** Decodes text that is shown while it is generated. */
  decodeStream(options: { readonly skipSpecialTokens: boolean }): DecodeStream;
  /** The texts of the special tokens. */
  readonly specialTexts: readonly string[];
  /** Returns the id of a token as spelled in the vocabulary (byte-level: a space is `Ġ`), or of a special token. */
  tokenId(token: string): number | undefined;
  token(id: number): string | undefined;
  /** The largest id plus one. The embedding may have more rows. */
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  /** All ids that end a text, from the tokenizer and generation_config.json; the tokenizer's own comes first. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  /** `bos_token`, `eos_token`, `pad_token`, `unk_token` … → text, for use in chat templates. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly chatTemplate: string | undefined;
  /** Present if tokens are made of the bytes of a text. */
  readonly byteTokens: ByteTokens | undefined;
  /** Returns file name → content, to be written next to an exported model. */
  files(): ReadonlyMap<string, string>;
  /** The input of `createTokenizer`, so that a thread can create the same tokenizer. */
  readonly input: TokenizerInput;
}

/** The files and settings that define a tokenizer. */
export interface TokenizerInput {
  /** The folder or file that it is from, for messages. */
  readonly source: string;
  /** File name → content; files other than tokenizer.json are optional. */
  readonly files: ReadonlyMap<string, string>;
  /** Replaces tokenizer.json if that is not among the files. */
  readonly built?: BuiltTokenizer | undefined;
  /** Its eos_token_id (a number or a list) is added to `eosIds`. */
  readonly generationConfig?: Readonly<Record<string, unknown>> | undefined;
}

export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
] as const;

/** Maximum size of a file; the largest vocabularies (260,000 tokens, Gemma) take 33 MB. */
export const MAX_TOKENIZER_FILE_BYTES = 128 * 1024 * 1024;
/** Maximum id, larger than in any vocabulary: array lengths depend on ids. */
const MAX_TOKEN_ID = 10_000_000;

const TOKEN_KEYS = ['bos_token', 'eos_token', 'pad_token', 'unk_token', 'cls_token', 'sep_token', 'mask_token'] as const;

/** The content of a tokenizer.json that was built from an older vocabulary format. */
export interface BuiltTokenizer {
  readonly definition: Record<string, unknown>;
  /** The special tokens, including those that no file names. */
  readonly tokens: Readonly<Record<string, string>>;
}

const listsAddedTokens = (config: Readonly<Record<string, unknown>>): boolean => config.added_tokens_decoder !== undefined;

/** @throws ModelFileError for files that are not JSON */
export function specialSettings(source: string, files: ReadonlyMap<string, string>): SpecialSettings {
  const config = parseFile(source, files, 'tokenizer_config.json') ?? {};
  // As in Transformers: the older files apply if the newer one does not list its added tokens.
  const settings = listsAddedTokens(config) ? config : { ...config, ...parseFile(source, files, 'special_tokens_map.json') };
  const decoder = isRecord(settings.added_tokens_decoder) ? Object.entries(settings.added_tokens_decoder) : [];
  const listed = decoder.map(([id, token]): [unknown, unknown] => [isRecord(token) ? token.content : undefined, Number(id)]);
  const all: ReadonlyArray<readonly [unknown, unknown]> = [
    ...(listsAddedTokens(config) ? [] : Object.entries(parseFile(source, files, 'added_tokens.json') ?? {})),
    ...listed,
  ];
  const added = all.filter((entry): entry is [string, number] => typeof entry[0] === 'string' && isTokenId(entry[1]));
  return { tokens: readSpecialTokens(settings), settings, added: Object.fromEntries(added) };
}

export const missingTokenizer = (source: string): ModelFileError =>
  new ModelFileError(
    source,
    'there is neither a tokenizer.json nor a vocabulary that is read for its kind of model',
    'Save it with AutoTokenizer.from_pretrained(…).save_pretrained(…), which writes a tokenizer.json.',
  );

/** @throws ModelFileError if a file is missing, damaged, or of an unsupported kind */
export function createTokenizer(input: TokenizerInput): Tokenizer {
  const { source, files } = input;
  const definition = parseFile(source, files, 'tokenizer.json') ?? input.built?.definition;
  if (definition === undefined) throw missingTokenizer(source);
  checkDefinition(source, definition);
  const special = specialSettings(source, files);
  const config = { ...input.built?.tokens, ...special.settings };
  checkSettings(source, definition, config);
  const pipeline = openPipeline(source, {
    ...definition,
    added_tokens: configuredTokens(definition.added_tokens ?? [], { ...special, settings: config }),
  });
  const specialTokens = readSpecialTokens(config);
  const idOf = (key: string): number | undefined => {
    const text = specialTokens[key];
    return text === undefined ? undefined : pipeline.tokenId(text);
  };
  const eosId = idOf('eos_token');
  const cleansUp = config.clean_up_tokenization_spaces === true && pipeline.kind !== 'BPE';
  const decode = (ids: readonly number[], skipSpecialTokens: boolean): string => {
    const text = limited(source, () => pipeline.decode(ids, skipSpecialTokens));
    return cleansUp ? cleanUp(text) : text;
  };
  return {
    encode: (text, { addSpecialTokens }) => limited(source, () => pipeline.encode(text, addSpecialTokens)),
    encodePair: (first, second) => {
      const { ids, types } = limited(source, () => pipeline.encodePair(first, second));
      return { ids: [...ids], types: [...types] };
    },
    decode: (ids, { skipSpecialTokens }) => decode(ids, skipSpecialTokens),
    decodeStream: ({ skipSpecialTokens }) => decodeStream(ids => decode(ids, skipSpecialTokens)),
    specialTexts: pipeline.specialTexts,
    tokenId: token => pipeline.tokenId(token),
    token: id => pipeline.token(id),
    vocabularySize: pipeline.vocabularySize,
    bosId: idOf('bos_token'),
    eosIds: [...new Set([...(eosId === undefined ? [] : [eosId]), ...idList(input.generationConfig?.eos_token_id)])],
    padId: idOf('pad_token'),
    specialTokens,
    chatTemplate: findChatTemplate(source, files, config),
    byteTokens: pipeline.byteTokens,
    files: () => files,
    input,
  };
}

function parseFile(source: string, files: ReadonlyMap<string, string>, name: string): Record<string, unknown> | undefined {
  const text = files.get(name);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ModelFileError(`${source}/${name}`, `is not valid JSON: ${messageOf(error)}`, 'Download it again.');
  }
  if (!isRecord(value)) throw new ModelFileError(`${source}/${name}`, 'does not hold a JSON object', 'Download it again.');
  return value;
}

function checkDefinition(source: string, definition: Record<string, unknown>): void {
  const file = `${source}/tokenizer.json`;
  const model = definition.model;
  const problems: string[] = [];
  if (!isRecord(model) || !(isRecord(model.vocab) || Array.isArray(model.vocab))) problems.push('has no model.vocab');
  const added = definition.added_tokens ?? [];
  if (!Array.isArray(added) || added.some(t => !isRecord(t) || typeof t.content !== 'string' || !isTokenId(t.id))) {
    problems.push(`has an added token without text or with an id outside 0 to ${MAX_TOKEN_ID}`);
  }
  if (isRecord(model) && isRecord(model.vocab) && entriesOf(model.vocab).some(([, id]) => !isTokenId(id))) {
    problems.push(`has a vocabulary id outside 0 to ${MAX_TOKEN_ID}`);
  }
  if (problems.length > 0)
    throw new ModelFileError(
      file,
      problems.map(message => ({ message })),
      'Download it again.',
    );
}

const isTokenId = (id: unknown): id is number => typeof id === 'number' && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID;

/** @throws ModelFileError for settings that change the encoding and are not supported, or that contradict tokenizer.json */
function checkSettings(source: string, definition: Record<string, unknown>, config: Readonly<Record<string, unknown>>): void {
  const file = `${source}/tokenizer_config.json`;
  if (config.split_special_tokens === true)
    throw new ModelFileError(
      file,
      'sets split_special_tokens, which is not supported',
      'Set it to false; special tokens in a text are then one token each.',
    );
  const { normalizer } = definition;
  if (!isRecord(normalizer) || normalizer.type !== 'BertNormalizer') return;
  for (const [setting, field] of [
    ['do_lower_case', 'lowercase'],
    ['strip_accents', 'strip_accents'],
    ['tokenize_chinese_chars', 'handle_chinese_chars'],
  ] as const) {
    if (typeof config[setting] === 'boolean' && typeof normalizer[field] === 'boolean' && config[setting] !== normalizer[field])
      throw new ModelFileError(
        file,
        `sets ${setting} to ${String(config[setting])}, but tokenizer.json has ${field}: ${String(normalizer[field])}`,
        'Set both to the value that the model was trained with.',
      );
  }
}

/** @throws ModelFileError for an unknown or damaged component */
function openPipeline(source: string, definition: Record<string, unknown>): Pipeline {
  try {
    return createPipeline({
      model: isRecord(definition.model) ? definition.model : {},
      addedTokens: addedTokens(definition).map(token => ({
        content: String(token.content),
        special: token.special === true,
        single_word: token.single_word === true,
        lstrip: token.lstrip === true,
        rstrip: token.rstrip === true,
        normalized: token.normalized === true,
      })),
      normalizer: definition.normalizer,
      preTokenizer: definition.pre_tokenizer,
      postProcessor: definition.post_processor,
      decoder: definition.decoder,
    });
  } catch (error) {
    throw new ModelFileError(
      `${source}/tokenizer.json`,
      `cannot be used: ${messageOf(error)}`,
      'Save it again with a current version of Transformers, or report the model whose tokenizer it is.',
    );
  }
}

/** @throws ModelFileError for a text that takes too much time or memory */
function limited<T>(source: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TextLimitError)) throw error;
    throw new ModelFileError(
      `${source}/tokenizer.json`,
      `cannot be used: ${error.message}`,
      'Correct that part of the file, or use a model whose tokenizer takes less.',
    );
  }
}

/** Reads special tokens, each a string or an object with `content`; a model's own (`image_token`) come after the common ones. */
function readSpecialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const found: Record<string, string> = {};
  const own = Object.keys(config).filter(key => key.endsWith('_token') && typeof config[key] === 'string');
  const extra = isRecord(config.extra_special_tokens) ? config.extra_special_tokens : {};
  for (const [key, value] of [...[...TOKEN_KEYS, ...own].map((key): [string, unknown] => [key, config[key]]), ...Object.entries(extra)]) {
    const text = tokenText(value);
    if (text !== undefined) found[key] ??= text;
  }
  return found;
}

/** Sizes of a vocabulary, each the largest id plus one. */
export interface Vocabulary {
  /** Without added tokens. */
  readonly texts: number;
  /** Including added tokens, such as an image placeholder. */
  readonly all: number;
}

/** Determines the sizes of a tokenizer.json's vocabulary. */
export function vocabularyOf(definition: Record<string, unknown>): Vocabulary {
  const vocab = isRecord(definition.model) ? definition.model.vocab : undefined;
  const count = (ids: readonly unknown[]): number =>
    ids.reduce<number>((most, id) => (typeof id === 'number' ? Math.max(most, id + 1) : most), 0);
  const texts = Array.isArray(vocab) ? vocab.length : isRecord(vocab) ? count(Object.values(vocab)) : 0;
  return { texts, all: Math.max(texts, count(addedTokens(definition).map(({ id }) => id))) };
}

/** @throws Error for a list that contains anything but objects */
function addedTokens({ added_tokens: added = [] }: Record<string, unknown>): readonly Record<string, unknown>[] {
  const tokens: readonly unknown[] = Array.isArray(added) ? added : [];
  return tokens.map((token, i) => {
    if (!isRecord(token)) throw new Error(`its added token ${i} is not an object`);
    return token;
  });
}

const idList = (value: unknown): number[] => (Array.isArray(value) ? value : [value]).filter(isTokenId);

/**
 * The chat template in a tokenizer's files, and the special tokens that it may write; neither needs the vocabulary.
 * @throws ModelFileError for files that are not JSON
 */
export function readTemplate(source: string, files: ReadonlyMap<string, string>): Pick<Tokenizer, 'chatTemplate' | 'specialTokens'> {
  const { settings, tokens } = specialSettings(source, files);
  return { chatTemplate: findChatTemplate(source, files, settings), specialTokens: tokens };
}

/**
 * Finds the template. chat_template.jinja takes precedence over tokenizer_config.json, as in Transformers; of several named templates, the
 * one named "default" is used.
 */
function findChatTemplate(source: string, files: ReadonlyMap<string, string>, config: Record<string, unknown>): string | undefined {
  const file = files.get('chat_template.jinja');
  if (file !== undefined) return file;
  const value = config.chat_template ?? parseFile(source, files, 'chat_template.json')?.chat_template;
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.filter(isRecord);
  const chosen = named.find(t => t.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}
