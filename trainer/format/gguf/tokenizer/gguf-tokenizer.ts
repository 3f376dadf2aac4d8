/** Converts the tokenizer in a GGUF file to tokenizer.json and tokenizer_config.json, as Transformers would save them. */

import { clip, ModelFileError } from '../../model-file-error.ts';
import { addedToken, causalTemplate } from '../../tokenizer/tokenizer-parts.ts';
import { type GgufFamily, ggufFamilies } from '../families/gguf-families.ts';
import type { GgufValue } from '../gguf-cursor.ts';
import type { GgufHeader } from '../gguf-header.ts';
import { BYTE_LEVEL_PRE_TOKENIZERS, type BytePreTokenizer } from './gguf-pre-tokenizers.ts';

/** ggml's token types. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * Maximum work for trying every split of the vocabulary's pieces in two, each weighted by the piece's length. The 260,000 pieces of
 * published models need 40 million.
 */
const MAX_MERGE_WORK = 1_000_000_000;

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly GgufValue[];
  readonly scores: readonly GgufValue[];
  readonly merges: ReadonlyArray<readonly [string, string]> | undefined;
  /** Pieces to add to the vocabulary: those in the file that are in it in their literal spelling. */
  readonly added: readonly string[];
}

/**
 * Returns file name → content, for createTokenizer.
 * @throws ModelFileError if the file has no tokenizer or one of an unknown kind
 */
export function ggufTokenizerFiles(path: string, { metadata }: Pick<GgufHeader, 'metadata'>): Map<string, string> {
  const kind = metadata.get('tokenizer.ggml.model');
  const architecture = String(metadata.get('general.architecture'));
  const pieces = Object.hasOwn(ggufFamilies, architecture) ? ggufFamilies[architecture]?.pieces : undefined;
  const stored = readVocabulary(path, metadata);
  const vocabulary = pieces === 'gemma' ? respelled(stored) : stored;
  const definition =
    kind === 'gpt2'
      ? byteLevel(path, metadata, vocabulary)
      : kind === 'llama' || kind === 'gemma4'
        ? sentencePiece(path, metadata, vocabulary, pieces)
        : undefined;
  if (definition === undefined) {
    const remedy =
      'The kinds gpt2 (byte-level BPE), llama and gemma4 (SentencePiece BPE) are read: use a folder with a tokenizer.json for this model.';
    throw new ModelFileError(path, `has ${kind === undefined ? 'no tokenizer' : `a tokenizer of the kind ${clip(String(kind))}`}`, remedy);
  }
  return new Map([
    [
      'tokenizer.json',
      JSON.stringify({ version: '1.0', truncation: null, padding: null, added_tokens: addedTokens(vocabulary), ...definition }),
    ],
    ['tokenizer_config.json', JSON.stringify(tokenizerConfig(metadata, vocabulary), null, 2)],
  ]);
}

/** Returns only tokenizer_config.json, which has the chat template. @throws ModelFileError for a damaged vocabulary */
export const ggufTokenizerSettings = (path: string, { metadata }: Pick<GgufHeader, 'metadata'>): ReadonlyMap<string, string> =>
  new Map([['tokenizer_config.json', JSON.stringify(tokenizerConfig(metadata, readVocabulary(path, metadata)))]]);

function readVocabulary(path: string, metadata: ReadonlyMap<string, GgufValue>): Vocabulary {
  const list = (key: string): readonly GgufValue[] => {
    const value = metadata.get(`tokenizer.ggml.${key}`);
    return Array.isArray(value) ? value : [];
  };
  const tokens = list('tokens');
  const merges = list('merges');
  if (!tokens.every(t => typeof t === 'string') || !merges.every(m => typeof m === 'string' && m.indexOf(' ', 1) > 0)) {
    throw new ModelFileError(path, 'has a vocabulary or merges that are not strings', 'Download the file again.');
  }
  const pairs = merges.map((merge): [string, string] => {
    const text = String(merge);
    const space = text.indexOf(' ', 1);
    return [text.slice(0, space), text.slice(space + 1)];
  });
  return {
    tokens: tokens.map(String),
    added: tokens.map(String),
    types: list('token_type'),
    scores: list('scores'),
    merges: metadata.has('tokenizer.ggml.merges') ? pairs : undefined,
  };
}

function byteLevel(path: string, metadata: ReadonlyMap<string, GgufValue>, vocabulary: Vocabulary): Record<string, unknown> {
  const name = metadata.get('tokenizer.ggml.pre') ?? 'gpt-2';
  const pre: BytePreTokenizer | undefined =
    typeof name === 'string' && Object.hasOwn(BYTE_LEVEL_PRE_TOKENIZERS, name) ? BYTE_LEVEL_PRE_TOKENIZERS[name] : undefined;
  if (pre === undefined) {
    const known = Object.keys(BYTE_LEVEL_PRE_TOKENIZERS).join(', ');
    throw new ModelFileError(
      path,
      `splits text by "${clip(String(name))}"`,
      `Known are ${known}: use a folder with a tokenizer.json for this model.`,
    );
  }
  const byteLevelStep = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: pre.useByteLevelRegex };
  return {
    normalizer: pre.normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...pre.steps, byteLevelStep] },
    post_processor: postProcessor(metadata, vocabulary, pre.addBos),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      vocab: vocabularyIds(vocabulary),
      merges: vocabulary.merges ?? [],
    },
  };
}

/**
 * Respells Gemma's pieces: its files store runs of spaces literally, and everything else with the sign that stands for a space. Its scores
 * do not give the order of merges, but the order of its pieces does.
 */
const respelled = (vocabulary: Vocabulary): Vocabulary => ({
  ...vocabulary,
  tokens: vocabulary.tokens.map(token => (token.includes(' ') && token.trim() === '' ? '▁'.repeat(token.length) : token)),
  scores: vocabulary.tokens.map((_, id) => -id),
});

/** How the family's tokenizer in Transformers replaces spaces. */
function spaces(pieces: GgufFamily['pieces'], prefixSpace: boolean): { readonly normalizer: unknown; readonly pre_tokenizer: unknown } {
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  switch (pieces) {
    case 'gemma':
      return { normalizer: replace, pre_tokenizer: null };
    case 'phi3':
      return { normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace] }, pre_tokenizer: null };
    case undefined:
      return {
        normalizer: null,
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: prefixSpace ? 'first' : 'never', split: false },
      };
  }
}

/** Builds the tokenizer like Transformers' LlamaTokenizer, or the family's own. */
function sentencePiece(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  vocabulary: Vocabulary,
  pieces: GgufFamily['pieces'],
): Record<string, unknown> {
  const prefixSpace = pieces !== 'gemma' && metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const strip = prefixSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    ...spaces(pieces, prefixSpace),
    post_processor: postProcessor(metadata, vocabulary, true),
    decoder: {
      type: 'Sequence',
      decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, ...strip],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: specialToken(metadata, vocabulary, 'unknown') ?? '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: vocabularyIds(vocabulary),
      merges: vocabulary.merges ?? mergesFromScores(path, vocabulary),
    },
  };
}

/**
 * Derives merges, which a SentencePiece vocabulary does not list. Scores fall in the order in which pieces were learned. Every split of a
 * piece into two others is a merge, sorted by best score first, then by shorter left part, as in Transformers' `generate_merges`.
 * @throws ModelFileError if pieces are so long that trying every split takes too long
 */
function mergesFromScores(path: string, vocabulary: Vocabulary): Array<[string, string]> {
  const work = vocabulary.tokens.reduce((sum, token) => sum + token.length ** 2, 0);
  if (work > MAX_MERGE_WORK) {
    const longest = vocabulary.tokens.reduce((most, token) => Math.max(most, token.length), 0);
    const message = `has a vocabulary of ${vocabulary.tokens.length} pieces with up to ${longest} characters, too long to find its merges`;
    throw new ModelFileError(path, message, 'Download the file again, or use a folder with a tokenizer.json for this model.');
  }
  const ids = new Map(vocabulary.tokens.map((token, id) => [token, id]));
  const found: Array<{ left: string; right: string; score: number }> = [];
  vocabulary.tokens.forEach((token, id) => {
    const letters = Array.from(token);
    const local: typeof found = [];
    for (let cut = 1; cut < letters.length; cut++) {
      const left = letters.slice(0, cut).join('');
      const right = letters.slice(cut).join('');
      if (ids.has(left) && ids.has(right)) local.push({ left, right, score: Number(vocabulary.scores[id] ?? 0) });
    }
    local.sort((a, b) => (ids.get(a.left) ?? 0) - (ids.get(b.left) ?? 0) || (ids.get(a.right) ?? 0) - (ids.get(b.right) ?? 0));
    found.push(...local);
  });
  const size = (text: string): number => Array.from(text).length;
  found.sort((a, b) => b.score - a.score || size(b.left) - size(a.left) || size(b.right) - size(a.right));
  return found.map(({ left, right }) => [left, right]);
}

const vocabularyIds = (vocabulary: Vocabulary): Record<string, number> =>
  Object.fromEntries(vocabulary.tokens.map((token, id) => [token, id]));

function addedTokens(vocabulary: Vocabulary): unknown[] {
  const known = new Set(vocabulary.tokens);
  return vocabulary.added.flatMap((content, id) => {
    const type = vocabulary.types[id];
    if (type === USER_DEFINED && !known.has(content)) return [];
    if (type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN) return [];
    return [addedToken(id, content, { special: type !== USER_DEFINED })];
  });
}

function specialToken(metadata: ReadonlyMap<string, GgufValue>, vocabulary: Vocabulary, key: string): string | undefined {
  const id = metadata.get(`tokenizer.ggml.${key}_token_id`);
  return typeof id === 'number' ? vocabulary.tokens[id] : undefined;
}

function postProcessor(metadata: ReadonlyMap<string, GgufValue>, vocabulary: Vocabulary, addBosByDefault: boolean): unknown {
  const wanted = (key: string, byDefault: boolean): string | undefined =>
    (metadata.get(`tokenizer.ggml.add_${key}_token`) ?? byDefault) === true ? specialToken(metadata, vocabulary, key) : undefined;
  const bos = wanted('bos', addBosByDefault);
  const eos = wanted('eos', false);
  return causalTemplate(bos, eos, token => vocabulary.tokens.indexOf(token));
}

function tokenizerConfig(metadata: ReadonlyMap<string, GgufValue>, vocabulary: Vocabulary): Record<string, unknown> {
  const config: Record<string, unknown> = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false };
  for (const [key, name] of [
    ['bos', 'bos_token'],
    ['eos', 'eos_token'],
    ['padding', 'pad_token'],
    ['unknown', 'unk_token'],
  ] as const) {
    const token = specialToken(metadata, vocabulary, key);
    if (token !== undefined) config[name] = token;
  }
  const template = metadata.get('tokenizer.chat_template');
  if (typeof template === 'string') config.chat_template = template;
  const context = metadata.get(`${String(metadata.get('general.architecture'))}.context_length`);
  if (typeof context === 'number') config.model_max_length = context;
  return config;
}
