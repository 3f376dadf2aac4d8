/**
 * Converts vocabularies of BERT and ESM (`vocab.txt`) and RoBERTa (`vocab.json`, `merges.txt`) to the contents of tokenizer.json, as their classes
 * in Transformers build it.
 */

import { isRecord } from '../../narrow.ts';
import { ModelFileError } from '../model-file-error.ts';
import type { SpecialSettings } from './configured-tokens.ts';
import type { BuiltTokenizer } from './tokenizer.ts';
import { addedToken, BERT_TOKENS, bertTemplate, ESM_TOKENS, esmTemplate, ROBERTA_TOKENS, robertaTemplate } from './tokenizer-parts.ts';

const DAMAGED = 'Download it again.';

/** A file with one token per line. */
interface LineVocabulary {
  readonly path: string;
  readonly text: string;
  readonly special: SpecialSettings;
}

function linesOf({ text }: LineVocabulary): string[] {
  const lines = text.split('\n').map(line => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** WordPiece. */
export function bertTokenizer(input: LineVocabulary): BuiltTokenizer {
  const { path, special } = input;
  const lines = linesOf(input);
  const ids = new Map(lines.map((token, id) => [token, id]));
  const tokens = { ...BERT_TOKENS, ...special.tokens };
  requireTokens(path, ids, [tokens.unk_token, tokens.cls_token, tokens.sep_token]);
  const { do_lower_case: lower, strip_accents: strip, tokenize_chinese_chars: chinese } = special.settings;
  return {
    tokens,
    definition: {
      added_tokens: addedTokens(tokens, ids, special),
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: chinese !== false,
        strip_accents: typeof strip === 'boolean' ? strip : null,
        lowercase: lower !== false,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: bertTemplate(tokens.cls_token, tokens.sep_token, token => ids.get(token)),
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: tokens.unk_token,
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(ids),
      },
    },
  };
}

/** Each token of the vocabulary is found wherever it occurs, the longest one first; what is left is unknown, word by word. */
export function esmTokenizer(input: LineVocabulary): BuiltTokenizer {
  const { path, special } = input;
  const ids = new Map(linesOf(input).map((token, id) => [token.trim(), id]));
  const { eos_token: end, ...others } = { ...ESM_TOKENS, ...special.tokens };
  // A model of DNA says that its texts have no end.
  const eos = special.settings.eos_token === null ? undefined : end;
  const tokens = { ...others, ...(eos !== undefined && { eos_token: eos }) };
  requireTokens(path, ids, [tokens.unk_token, tokens.cls_token, ...(eos === undefined ? [] : [eos])]);
  const named = addedTokens(tokens, ids, special);
  const known = new Set(Object.values(tokens));
  const found = [...ids].filter(([token]) => token !== '' && !known.has(token));
  return {
    tokens,
    definition: {
      added_tokens: [...named, ...found.map(([token, id]) => addedToken(id, token, { special: false }))],
      normalizer: null,
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: esmTemplate(tokens.cls_token, eos, token => ids.get(token)),
      decoder: null,
      model: { type: 'WordLevel', unk_token: tokens.unk_token, vocab: Object.fromEntries(ids) },
    },
  };
}

/** Byte-level BPE. */
export function robertaTokenizer(input: {
  readonly path: string;
  readonly vocabulary: unknown;
  readonly merges: string;
  readonly special: SpecialSettings;
}): BuiltTokenizer {
  const { path, vocabulary, special } = input;
  if (!isRecord(vocabulary)) throw new ModelFileError(path, 'does not map tokens to ids', DAMAGED);
  const ids = new Map(Object.entries(vocabulary).map(([token, id]) => [token, Number(id)]));
  const tokens = { ...ROBERTA_TOKENS, ...special.tokens };
  requireTokens(path, ids, [tokens.cls_token, tokens.sep_token]);
  const merges = input.merges.split('\n').filter(line => line !== '' && !line.startsWith('#version'));
  const bytes = { type: 'ByteLevel', add_prefix_space: special.settings.add_prefix_space === true, trim_offsets: true, use_regex: true };
  return {
    tokens,
    definition: {
      added_tokens: addedTokens(tokens, ids, special),
      normalizer: null,
      pre_tokenizer: bytes,
      post_processor: robertaTemplate(tokens.cls_token, tokens.sep_token, token => ids.get(token)),
      decoder: bytes,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: '',
        fuse_unk: false,
        byte_fallback: false,
        vocab: vocabulary,
        merges: merges.map(line => line.split(' ')),
      },
    },
  };
}

function requireTokens(path: string, ids: ReadonlyMap<string, number>, tokens: readonly string[]): void {
  const missing = tokens.filter(token => !ids.has(token));
  if (missing.length > 0)
    throw new ModelFileError(path, `lacks the special tokens ${missing.join(', ')}`, 'Check that it belongs to this model.');
}

function addedTokens(tokens: Readonly<Record<string, string>>, ids: Map<string, number>, { added }: SpecialSettings): unknown[] {
  for (const [content, id] of Object.entries(added)) if (!ids.has(content)) ids.set(content, id);
  const special = new Set(Object.values(tokens));
  // Only RoBERTa's mask includes the space before it.
  return [...new Set([...special, ...Object.keys(added)])].flatMap(content => {
    const id = ids.get(content);
    return id === undefined
      ? []
      : [addedToken(id, content, { special: special.has(content), lstrip: content === ROBERTA_TOKENS.mask_token })];
  });
}
