/** Text ⇄ token ids, from the files that travel with a model (tokenizer.json and neighbors). */

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
  /** `addSpecialTokens` adds what the model's post-processor adds (a begin token, `[CLS]` … `[SEP]`); special tokens in the text are recognized either way. */
  encode(text: string, options: { readonly addSpecialTokens: boolean }): number[];
  /** Two texts as the model's post-processor joins them, special tokens included; `types` is the segment of each token. */
  encodePair(first: string, second: string): { readonly ids: number[]; readonly types: number[] };
  decode(ids: readonly number[], options: { readonly skipSpecialTokens: boolean }): string;
  /** For text that is shown while it is generated. */
  decodeStream(options: { readonly skipSpecialTokens: boolean }): DecodeStream;
  /** Special tokens as they are written in a text. */
  readonly specialTexts: readonly string[];
  /** The id of a token as written in the vocabulary (byte-level: a space is `Ġ`), or of a special token. */
  tokenId(token: string): number | undefined;
  token(id: number): string | undefined;
  /** One more than the largest id. The embedding may have more rows. */
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  /** Every id that ends a text, from the tokenizer and from generation_config.json; the tokenizer's own comes first. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  /** `bos_token`, `eos_token`, `pad_token`, `unk_token` … → text: what a chat template may use. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly chatTemplate: string | undefined;
  /** Present where tokens are made of the bytes of a text. */
  readonly byteTokens: ByteTokens | undefined;
  /** File name → content, to be written next to an exported model. */
  files(): ReadonlyMap<string, string>;
  /** The input of `createTokenizer`: a thread makes the same tokenizer of it. */
  readonly input: TokenizerInput;
}

/** The files and settings that a tokenizer is made of. */
export interface TokenizerInput {
  /** The folder or file it is from, for messages. */
  readonly source: string;
  /** File name → content; the others than tokenizer.json are used where present. */
  readonly files: ReadonlyMap<string, string>;
  /** Stands for tokenizer.json where that is not among the files. */
  readonly built?: BuiltTokenizer | undefined;
  /** Its eos_token_id (a number or a list) adds to `eosIds`. */
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

/** The largest vocabularies (260 000 tokens, Gemma) take 33 MB. */
export const MAX_TOKENIZER_FILE_BYTES = 128 * 1024 * 1024;
/** Beyond every vocabulary there is; an id decides how long arrays become. */
const MAX_TOKEN_ID = 10_000_000;

const TOKEN_KEYS = ['bos_token', 'eos_token', 'pad_token', 'unk_token', 'cls_token', 'sep_token', 'mask_token'] as const;

/** The content of a tokenizer.json, made from an older form of vocabulary. */
export interface BuiltTokenizer {
  readonly definition: Record<string, unknown>;
  /** The special tokens, those included that no file names. */
  readonly tokens: Readonly<Record<string, string>>;
}

const listsAddedTokens = (config: Readonly<Record<string, unknown>>): boolean => config.added_tokens_decoder !== undefined;

/** @throws ModelFileError for files that are no JSON */
export function specialSettings(source: string, files: ReadonlyMap<string, string>): SpecialSettings {
  const config = parseFile(source, files, 'tokenizer_config.json') ?? {};
  // As in Transformers: the older files speak where the newer one does not list its added tokens.
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

/** @throws ModelFileError when a file is missing, damaged, or of a kind that is not supported */
export function createTokenizer(input: TokenizerInput): Tokenizer {
  const { source, files } = input;
  const definition = parseFile(source, files, 'tokenizer.json') ?? input.built?.definition;
  if (definition === undefined) {
    throw new ModelFileError(
      source,
      'has neither a tokenizer.json nor a vocabulary that is read for its kind of model',
      'Save it with AutoTokenizer.from_pretrained(…).save_pretrained(…), which writes a tokenizer.json.',
    );
  }
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

/** @throws ModelFileError for settings that change what a text becomes and are not supported, or that contradict tokenizer.json */
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

/** @throws ModelFileError for a component that is unknown or damaged */
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

/** A special token is a string, or an object with its text in `content`; a model's own (`image_token`) come behind the common ones. */
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

/** The number of ids, which is one more than the largest. */
export interface Vocabulary {
  /** Ids of the pieces that any text is cut into. */
  readonly texts: number;
  /** Those and the ids of added tokens, such as the place of an image. */
  readonly all: number;
}

/** Counts the ids of a tokenizer.json. */
export function vocabularyOf(definition: Record<string, unknown>): Vocabulary {
  const vocab = isRecord(definition.model) ? definition.model.vocab : undefined;
  const count = (ids: readonly unknown[]): number =>
    ids.reduce<number>((most, id) => (typeof id === 'number' ? Math.max(most, id + 1) : most), 0);
  const texts = Array.isArray(vocab) ? vocab.length : isRecord(vocab) ? count(Object.values(vocab)) : 0;
  return { texts, all: Math.max(texts, count(addedTokens(definition).map(({ id }) => id))) };
}

/** @throws Error for a list with something else in it than objects */
function addedTokens({ added_tokens: added = [] }: Record<string, unknown>): readonly Record<string, unknown>[] {
  const tokens: readonly unknown[] = Array.isArray(added) ? added : [];
  return tokens.map((token, i) => {
    if (!isRecord(token)) throw new Error(`its added token ${i} is not an object`);
    return token;
  });
}

const idList = (value: unknown): number[] => (Array.isArray(value) ? value : [value]).filter(isTokenId);

/**
 * The chat template among a tokenizer's files, and the tokens that it may write; neither needs the vocabulary.
 * @throws ModelFileError for files that are no JSON
 */
export function readTemplate(source: string, files: ReadonlyMap<string, string>): Pick<Tokenizer, 'chatTemplate' | 'specialTokens'> {
  const { settings, tokens } = specialSettings(source, files);
  return { chatTemplate: findChatTemplate(source, files, settings), specialTokens: tokens };
}

/** chat_template.jinja goes before tokenizer_config.json, as in Transformers; of several named templates the one called "default". */
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
