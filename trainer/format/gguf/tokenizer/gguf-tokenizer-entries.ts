/** Converts tokenizer.json and its neighboring files to GGUF metadata: the inverse of `gguf-tokenizer.ts`. */

import { isRecord } from '../../../narrow.ts';
import { ModelFileError } from '../../model-file-error.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { isIds } from '../../tokenizer/tokenizers/vocabulary.ts';
import { boolEntry, f32sEntry, type GgufEntry, i32sEntry, stringEntry, stringsEntry, u32Entry } from '../gguf-entries.ts';
import { BYTE_LEVEL_PRE_TOKENIZERS } from './gguf-pre-tokenizers.ts';

/** ggml's token types. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/** The score of tokens that no merge produces: below all tokens that merges produce. */
const NEVER_MERGED = -1e6;

const REMEDY = 'Export it as merged: tools that read Hugging Face folders take such a tokenizer.';

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

function addedToken(token: unknown): AddedToken[] {
  if (!isRecord(token) || typeof token.id !== 'number' || typeof token.content !== 'string') return [];
  return [{ id: token.id, content: token.content, special: token.special === true }];
}

interface Definition {
  readonly model: Readonly<Record<string, unknown>>;
  /** Maps each token to its id. */
  readonly vocabulary: Readonly<Record<string, number>>;
  readonly added: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly preTokenizer: unknown;
  readonly postProcessor: unknown;
}

export interface TokenizerEntriesParams {
  readonly source: string;
  readonly tokenizer: Tokenizer;
  /** Number of rows of the embedding: ids beyond the vocabulary get unused tokens. */
  readonly rows: number;
}

/**
 * @param params.tokenizer byte-level BPE or SentencePiece BPE
 * @throws ModelFileError for another kind, or for a pre-tokenizer that has no name in llama.cpp
 */
export function tokenizerEntries({ source, tokenizer, rows }: TokenizerEntriesParams): GgufEntry[] {
  const fail = (message: string, remedy = REMEDY): never => {
    throw new ModelFileError(source, message, remedy);
  };
  const definition = readDefinition(tokenizer.files(), fail);
  const { model } = definition;
  const tokens = tokensOf(definition, rows, fail);
  const isBytes = usesBytes(definition);
  if (model.type !== 'BPE' || (!isBytes && model.byte_fallback !== true))
    fail(`has a tokenizer of the kind ${String(model.type ?? 'BPE')}, which is not written to GGUF; byte-level and SentencePiece BPE are`);
  const types = typesOf(tokens, definition, isBytes);
  const ends = [...tokenizer.eosIds].filter(id => id < rows);
  const unknown = typeof model.unk_token === 'string' ? tokenizer.tokenId(model.unk_token) : undefined;
  const id = (key: string, value: number | undefined): GgufEntry[] =>
    value === undefined || value >= rows ? [] : [u32Entry(`tokenizer.ggml.${key}_token_id`, value)];
  const around = tokensAround(definition.postProcessor);
  return [
    ...(isBytes ? byteLevelEntries(definition, fail) : sentencePieceEntries(definition, tokens, types)),
    stringsEntry('tokenizer.ggml.tokens', tokens),
    i32sEntry('tokenizer.ggml.token_type', types),
    ...id('bos', tokenizer.bosId),
    ...id('eos', ends[0]),
    // A second token that ends a turn.
    ...id('eot', ends[1]),
    ...id('padding', tokenizer.padId),
    ...id('unknown', unknown),
    boolEntry('tokenizer.ggml.add_bos_token', tokenizer.bosId !== undefined && around.first === tokenizer.token(tokenizer.bosId)),
    boolEntry('tokenizer.ggml.add_eos_token', around.last !== undefined),
    ...(tokenizer.chatTemplate === undefined ? [] : [stringEntry('tokenizer.chat_template', tokenizer.chatTemplate)]),
  ];
}

type Fail = (message: string, remedy?: string) => never;

function readDefinition(files: ReadonlyMap<string, string>, fail: Fail): Definition {
  const text = files.get('tokenizer.json');
  if (text === undefined)
    return fail('has no tokenizer.json', 'Save its tokenizer with AutoTokenizer.from_pretrained(…).save_pretrained(…), which writes one.');
  const json: unknown = JSON.parse(text);
  if (!isRecord(json) || !isRecord(json.model) || !isIds(json.model.vocab)) return fail('has a tokenizer without a vocabulary');
  const added: readonly unknown[] = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  return {
    model: json.model,
    vocabulary: json.model.vocab,
    added: added.flatMap(addedToken),
    normalizer: json.normalizer ?? null,
    preTokenizer: json.pre_tokenizer ?? null,
    postProcessor: json.post_processor ?? null,
  };
}

/** The token of each id, as spelled in the tokenizer file. */
function tokensOf({ vocabulary, added }: Definition, rows: number, fail: Fail): string[] {
  const largest = Object.values(vocabulary).reduce((most, id) => Math.max(most, id), -1);
  if (largest >= rows)
    fail(
      `has a token of the id ${largest}, and the embedding has ${rows} rows`,
      'Give the tokenizer that belongs to the model, or resize the embedding.',
    );
  const tokens = new Map(Object.entries(vocabulary).map(([token, id]) => [id, token]));
  for (const { id, content } of added) tokens.set(id, content);
  // Added tokens without a row are omitted, such as the image placeholder in Gemma 3's text models.
  return Array.from({ length: rows }, (_, id) => tokens.get(id) ?? `[PAD${id}]`);
}

/** The components of a sequence, or a single component as a list. */
function parts(component: unknown, list: string): readonly Readonly<Record<string, unknown>>[] {
  if (!isRecord(component)) return [];
  if (component.type !== 'Sequence') return [component];
  const members: unknown = component[list];
  return Array.isArray(members) ? members.filter(isRecord) : [];
}

const preTokenizers = ({ preTokenizer }: Definition) => parts(preTokenizer, 'pretokenizers');

const usesBytes = (definition: Definition): boolean => preTokenizers(definition).some(({ type }) => type === 'ByteLevel');

function typesOf(tokens: readonly string[], { model, vocabulary, added }: Definition, isBytes: boolean): number[] {
  const kinds = new Map(added.map(({ id, special }) => [id, special ? CONTROL : USER_DEFINED]));
  return tokens.map((token, id) => {
    const kind = kinds.get(id);
    if (token === model.unk_token && !isBytes) return UNKNOWN;
    if (kind !== undefined) return kind;
    if (!Object.hasOwn(vocabulary, token) || vocabulary[token] !== id) return UNUSED;
    return !isBytes && /^<0x[0-9A-F]{2}>$/.test(token) ? BYTE : NORMAL;
  });
}

function mergesOf({ model }: Definition): string[] {
  const merges: readonly unknown[] = Array.isArray(model.merges) ? model.merges : [];
  return merges.map(merge => (Array.isArray(merge) ? merge.join(' ') : String(merge)));
}

/** Entries with the name of the first pre-tokenizer in llama.cpp's list that splits text the same way. */
function byteLevelEntries(definition: Definition, fail: Fail): GgufEntry[] {
  const steps = preTokenizers(definition);
  const bytes = steps.at(-1) ?? {};
  if (bytes.type !== 'ByteLevel' || bytes.add_prefix_space === true)
    return fail('has a tokenizer that adds a space before each text, which llama.cpp does not do');
  const own = sameAs({
    normalizer: definition.normalizer,
    steps: steps.slice(0, -1),
    useByteLevelRegex: bytes.use_regex !== false,
    ignoreMerges: definition.model.ignore_merges === true,
  });
  const found = Object.entries(BYTE_LEVEL_PRE_TOKENIZERS).find(([, { addBos: _, ...rest }]) => sameAs(rest) === own);
  if (found === undefined) return fail('splits text in a way that llama.cpp has no name for here');
  return [
    stringEntry('tokenizer.ggml.model', 'gpt2'),
    stringEntry('tokenizer.ggml.pre', found[0]),
    stringsEntry('tokenizer.ggml.merges', mergesOf(definition)),
  ];
}

/** A string that is equal for equivalent components. */
const sameAs = (value: unknown): string =>
  JSON.stringify(value, (key, inner: unknown) => {
    // An empty sequence has no effect, and a component may omit defaults.
    if (key === 'normalizer' && isRecord(inner) && inner.type === 'Sequence') {
      const list: readonly unknown[] = Array.isArray(inner.normalizers) ? inner.normalizers : [];
      return list.length === 0 ? null : list.length === 1 ? list[0] : inner;
    }
    // A line break in a pattern is the same as its escape.
    if (key === 'Regex' && typeof inner === 'string') return inner.replaceAll('\r', '\\r').replaceAll('\n', '\\n');
    if (!isRecord(inner)) return inner;
    return Object.fromEntries(
      Object.entries({ ...(inner.type === 'Split' ? { invert: false } : {}), ...inner }).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });

/**
 * Entries with scores instead of merges: a piece that is learned earlier has a higher score. llama.cpp joins the two neighbors whose
 * combined piece scores highest. This equals the order of the merges, since merges that produce the same piece follow each other.
 */
function sentencePieceEntries(definition: Definition, tokens: readonly string[], types: readonly number[]): GgufEntry[] {
  const ranks = new Map<string, number>();
  for (const merge of mergesOf(definition)) {
    const piece = merge.replace(' ', '');
    if (!ranks.has(piece)) ranks.set(piece, ranks.size);
  }
  const scores = tokens.map((token, id) => {
    const rank = ranks.get(token);
    if (rank !== undefined && types[id] === NORMAL) return -rank;
    return types[id] === NORMAL && Array.from(token).length === 1 ? -ranks.size : types[id] === BYTE ? 0 : NEVER_MERGED;
  });
  return [
    stringEntry('tokenizer.ggml.model', 'llama'),
    stringEntry('tokenizer.ggml.pre', 'default'),
    boolEntry('tokenizer.ggml.add_space_prefix', addsSpace(definition)),
    f32sEntry('tokenizer.ggml.scores', scores),
  ];
}

const addsSpace = (definition: Definition): boolean =>
  parts(definition.normalizer, 'normalizers').some(({ type }) => type === 'Prepend') ||
  preTokenizers(definition).some(({ type, prepend_scheme: scheme }) => type === 'Metaspace' && scheme !== 'never');

/** The special tokens before and after a single text. */
function tokensAround(postProcessor: unknown): { readonly first: string | undefined; readonly last: string | undefined } {
  const template = parts(postProcessor, 'processors').find(({ type }) => type === 'TemplateProcessing');
  const single: readonly Readonly<Record<string, unknown>>[] = Array.isArray(template?.single) ? template.single.filter(isRecord) : [];
  const text = single.findIndex(part => part.Sequence !== undefined);
  const tokenOf = (part: Readonly<Record<string, unknown>> | undefined): string | undefined => {
    const token = isRecord(part?.SpecialToken) ? part.SpecialToken.id : undefined;
    return typeof token === 'string' ? token : undefined;
  };
  return { first: tokenOf(single.slice(0, Math.max(0, text)).at(-1)), last: tokenOf(single[text + 1]) };
}
