/**
 * Converts a SentencePiece model to tokenizer.json and tokenizer_config.json. Texts get the same ids as in SentencePiece, as with
 * Transformers' `build_tokenizer_from_spm_proto`; special tokens are added like in the family's own tokenizer.
 */
import { ModelFileError } from '../model-file-error.ts';
import type { SpecialSettings } from './configured-tokens.ts';
import { PIECE, type SentencePieceModel } from './sentencepiece-model.ts';
import type { BuiltTokenizer } from './tokenizer.ts';
import { addedToken, BERT_TOKENS, bertTemplate, causalTemplate, ROBERTA_TOKENS, robertaTemplate } from './tokenizer-parts.ts';
import { SENTENCEPIECE_CHARSMAP } from './tokenizers/normalizers.ts';

type Tokens = Readonly<Record<string, string>>;

interface Family {
  /** The tokens to use if the model's files do not name them. */
  readonly tokens: Tokens;
  /** The special tokens around a text. */
  readonly template: (tokens: Tokens, idOf: (token: string) => number | undefined, settings: SpecialSettings['settings']) => unknown;
  /** Returns normalizers that run before those of the file. */
  readonly prepared?: (settings: SpecialSettings['settings']) => readonly unknown[];
  /** Set if a space before the mask token belongs to it. */
  readonly takesSpaceBeforeMask?: true;
  /** Returns the pieces in the order of the model's ids. */
  readonly reorder?: (pieces: SentencePieceModel['pieces']) => SentencePieceModel['pieces'];
}

const replace = (Regex: string, content: string) => ({ type: 'Replace', pattern: { Regex }, content });
const control = (piece: string) => ({ piece, score: 0, type: PIECE.control });
const LANGUAGE_MODEL: Family = {
  tokens: { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
  template: ({ bos_token: bos, eos_token: eos }, idOf, settings) =>
    causalTemplate(settings.add_bos_token === false ? undefined : bos, settings.add_eos_token === true ? eos : undefined, idOf),
};

/**
 * ALBERT's own steps before SentencePiece, as in Transformers' AlbertTokenizer: white space, quotes, accents, case. A piece that ends in a
 * digit and a comma is avoided, so that the comma becomes a separate token.
 */
const ALBERT: Family = {
  tokens: { ...BERT_TOKENS, bos_token: '[CLS]', eos_token: '[SEP]', unk_token: '<unk>', pad_token: '<pad>' },
  template: ({ cls_token: cls = '', sep_token: sep = '' }, idOf) => bertTemplate(cls, sep, idOf),
  takesSpaceBeforeMask: true,
  prepared: ({ do_lower_case: lowers, keep_accents: keeps }) => [
    replace('\\s+', ' '),
    replace("``|''", '"'),
    ...(keeps === true ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
    ...(lowers === false ? [] : [{ type: 'Lowercase' }]),
  ],
  reorder: pieces => pieces.map(each => (/\d,$/u.test(each.piece) ? { ...each, score: each.score - AVOIDED } : each)),
};
const AVOIDED = 100;

const FAMILIES: Readonly<Record<string, Family>> = {
  'deberta-v2': {
    tokens: { bos_token: '[CLS]', eos_token: '[SEP]', ...BERT_TOKENS },
    template: ({ cls_token: cls = '', sep_token: sep = '' }, idOf) => bertTemplate(cls, sep, idOf),
  },
  // fairseq's ids: its four tokens come before the pieces and replace their first three.
  'xlm-roberta': {
    tokens: ROBERTA_TOKENS,
    takesSpaceBeforeMask: true,
    template: ({ cls_token: cls = '', sep_token: sep = '' }, idOf) => robertaTemplate(cls, sep, idOf),
    reorder: pieces => [...['<s>', '<pad>', '</s>', '<unk>'].map(control), ...pieces.slice(3)],
  },
  // As XLM-RoBERTa's, with a token that stands for each unused one of fairseq, and the pieces from the second on.
  camembert: {
    tokens: ROBERTA_TOKENS,
    takesSpaceBeforeMask: true,
    template: ({ cls_token: cls = '', sep_token: sep = '' }, idOf) => robertaTemplate(cls, sep, idOf),
    reorder: pieces => [...['<s>NOTUSED', '<pad>', '</s>NOTUSED', '<unk>', '<unk>NOTUSED'].map(control), ...pieces.slice(1)],
  },
  albert: ALBERT,
  llama: LANGUAGE_MODEL,
  mistral: LANGUAGE_MODEL,
};

/**
 * @param input.modelType `model_type` of config.json
 * @throws ModelFileError for an unknown family or an unsupported setting
 */
export function sentencePieceDefinition(input: {
  readonly path: string;
  readonly model: SentencePieceModel;
  readonly modelType: unknown;
  readonly special: SpecialSettings;
}): BuiltTokenizer {
  const { path, model, modelType, special } = input;
  const family = typeof modelType === 'string' && Object.hasOwn(FAMILIES, modelType) ? FAMILIES[modelType] : undefined;
  if (family === undefined || special.settings.split_by_punct === true) {
    const what = family === undefined ? `belongs to a model of the type ${String(modelType)}` : 'is used with split_by_punct';
    throw new ModelFileError(
      path,
      `${what}, for which it is not read`,
      'Save the tokenizer once with AutoTokenizer.from_pretrained(…).save_pretrained(…), which writes a tokenizer.json.',
    );
  }
  const tokens = { ...family.tokens, ...special.tokens };
  const pieces = family.reorder?.(model.pieces) ?? model.pieces;
  const unknown =
    pieces[model.unknownId]?.type === PIECE.unknown ? model.unknownId : pieces.findIndex(({ piece }) => piece === tokens.unk_token);
  const ids = new Map(pieces.map(({ piece }, id) => [piece, id]));
  const added = addedTokens(pieces, ids, { ...special, tokens }, family);
  const userDefined = pieces.filter(({ type }) => type === PIECE.userDefined).map(({ piece }) => piece);
  const definition = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: 'Sequence', normalizers: normalizers(model, family, special.settings) },
    pre_tokenizer: preTokenizer(model, userDefined, special.settings.legacy === false ? 'first' : 'always'),
    post_processor: family.template(tokens, token => ids.get(token), special.settings),
    decoder: decoder(model),
    model: model.kind === 'Unigram' ? unigram(pieces, unknown) : bpe(pieces, unknown, model.byteFallback, userDefined.length > 0),
  };
  return { definition, tokens };
}

/** The file's added tokens, plus the special tokens that it lacks, with the next free ids in Transformers' order. */
function addedTokens(
  pieces: SentencePieceModel['pieces'],
  ids: Map<string, number>,
  { added, tokens }: SpecialSettings,
  { takesSpaceBeforeMask }: Family,
): unknown[] {
  const special = new Set(Object.values(tokens));
  const lstrip = (content: string): boolean => takesSpaceBeforeMask === true && content === tokens.mask_token;
  const found = pieces.flatMap(({ piece, type }, id) =>
    type === PIECE.control || special.has(piece) ? [addedToken(id, piece, { special: true, lstrip: lstrip(piece) })] : [],
  );
  for (const [content, id] of Object.entries(added)) {
    if (ids.has(content)) continue;
    ids.set(content, id);
    found.push(addedToken(id, content, { special: special.has(content) }));
  }
  let next = Math.max(pieces.length, ...Object.values(added).map(id => id + 1));
  for (const key of ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']) {
    const content = tokens[key];
    if (content === undefined || ids.has(content)) continue;
    ids.set(content, next);
    found.push(addedToken(next++, content, { special: true, lstrip: lstrip(content) }));
  }
  return found;
}

function normalizers(model: SentencePieceModel, { prepared }: Family, settings: SpecialSettings['settings']): unknown[] {
  return [
    ...(prepared ? prepared(settings) : settings.do_lower_case === true ? [{ type: 'Lowercase' }] : []),
    ...(model.charsmap.length > 0
      ? [{ type: SENTENCEPIECE_CHARSMAP, precompiled_charsmap: Buffer.from(model.charsmap).toString('base64') }]
      : []),
    ...(model.removeExtraWhitespaces ? [replace('\\A +|[ ▁]+\\z', ''), replace(' {2,}', ' ')] : []),
    replace(' ', '▁'),
    // Unlike SentencePiece, the pre-tokenizer adds no space before a text that starts with one.
    ...(model.addDummyPrefix ? [replace('\\A▁', '▁▁')] : []),
  ];
}

function preTokenizer(model: SentencePieceModel, userDefined: readonly string[], scheme: 'first' | 'always'): unknown {
  const literally = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  const longestFirst = [...userDefined].sort((a, b) => b.length - a.length);
  const steps = [
    ...(model.addDummyPrefix ? [{ type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: false }] : []),
    ...(userDefined.length > 0
      ? [{ type: 'Split', pattern: { Regex: longestFirst.map(literally).join('|') }, behavior: 'Isolated', invert: false }]
      : []),
  ];
  return steps.length === 0 ? null : { type: 'Sequence', pretokenizers: steps };
}

function decoder(model: SentencePieceModel): unknown {
  const strip = model.addDummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      ...(model.byteFallback ? [{ type: 'ByteFallback' }] : []),
      { type: 'Fuse' },
      ...strip,
    ],
  };
}

const unigram = (pieces: SentencePieceModel['pieces'], unknown: number): unknown => ({
  type: 'Unigram',
  unk_id: unknown,
  byte_fallback: false,
  vocab: pieces.map(({ piece, score }) => [piece, score]),
});

const bpe = (pieces: SentencePieceModel['pieces'], unknown: number, byteFallback: boolean, keepsWhole: boolean): unknown => ({
  type: 'BPE',
  dropout: null,
  unk_token: pieces[unknown]?.piece,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: true,
  byte_fallback: byteFallback,
  ignore_merges: keepsWhole,
  vocab: Object.fromEntries(pieces.map(({ piece }, id) => [piece, id])),
  merges: mergesOf(pieces),
});

/** Every split of a piece into two others, best piece first. */
function mergesOf(pieces: SentencePieceModel['pieces']): Array<[string, string]> {
  const normal = new Map(pieces.flatMap(({ piece, type }, id) => (type === PIECE.normal ? [[piece, id] as const] : [])));
  const found: Array<{ readonly left: string; readonly right: string; readonly id: number; readonly score: number }> = [];
  for (const [piece, id] of normal) {
    const letters = Array.from(piece);
    for (let cut = 1; cut < letters.length; cut++) {
      const left = letters.slice(0, cut).join('');
      const right = letters.slice(cut).join('');
      if (normal.has(left) && normal.has(right)) found.push({ left, right, id, score: pieces[id]?.score ?? 0 });
    }
  }
  found.sort((a, b) => b.score - a.score || a.id - b.id || (a.left < b.left ? -1 : 1));
  return found.map(({ left, right }) => [left, right]);
}
