/** How byte-level vocabularies of GGUF files split text before applying merges, by llama.cpp's name for it. */

export interface BytePreTokenizer {
  readonly normalizer: Record<string, unknown> | null;
  /** Pre-tokenizer components before the final ByteLevel. */
  readonly steps: ReadonlyArray<Record<string, unknown>>;
  /** True if that ByteLevel component splits by GPT-2's pattern. */
  readonly useByteLevelRegex: boolean;
  /** True if a word that is itself a token is taken without merging. */
  readonly ignoreMerges: boolean;
  /** llama.cpp's default. */
  readonly addBos: boolean;
}

const split = (pattern: string): Record<string, unknown> => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});

const words = (numbers: string, letters = '\\p{L}', marks = ''): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?${letters}+|${numbers}| ?[^\\s\\p{L}${marks}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const GPT2: BytePreTokenizer = { normalizer: null, steps: [], useByteLevelRegex: true, ignoreMerges: false, addBos: false };
const DIGITS: BytePreTokenizer = { ...GPT2, steps: [{ type: 'Digits', individual_digits: true }] };
const LLAMA3: BytePreTokenizer = {
  normalizer: null,
  steps: [split(words('\\p{N}{1,3}'))],
  useByteLevelRegex: false,
  ignoreMerges: true,
  addBos: true,
};
const MERGED: BytePreTokenizer = { ...LLAMA3, ignoreMerges: false, addBos: false };
const QWEN2: BytePreTokenizer = {
  normalizer: { type: 'NFC' },
  steps: [split(words('\\p{N}'))],
  useByteLevelRegex: false,
  ignoreMerges: false,
  addBos: false,
};
/** Qwen3.5's rules: combining marks belong to words. */
const QWEN35: BytePreTokenizer = { ...QWEN2, steps: [split(words('\\p{N}', '[\\p{L}\\p{M}]', '\\p{M}'))] };

/** DeepSeek-V3's rules: up to three digits, then Chinese characters and kana, then all else. */
const DEEPSEEK: BytePreTokenizer = {
  ...MERGED,
  steps: [
    split('\\p{N}{1,3}'),
    split('[一-龥぀-ゟ゠-ヿ]+'),
    split(
      '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+',
    ),
  ],
};

/** Words that end before a capital letter. @param end a contraction */
const casedWords = (numbers: string, end: string): string => {
  const [upper, lower] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'];
  const begin = '[^\\r\\n\\p{L}\\p{N}]?';
  const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  return `${begin}${upper}*${lower}+${end}|${begin}${upper}+${lower}*${end}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;
};
const GPT4O: BytePreTokenizer = { ...MERGED, steps: [split(casedWords('\\p{N}{1,3}', "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"))] };
/** The rules of Mistral's newer tokenizers, which Apertus has too. */
const TEKKEN: BytePreTokenizer = { ...LLAMA3, steps: [split(casedWords('\\p{N}', ''))] };

export const BYTE_LEVEL_PRE_TOKENIZERS: Readonly<Record<string, BytePreTokenizer>> = {
  'gpt-2': GPT2,
  exaone4: GPT2,
  // GPT-NeoX's. llama.cpp does not normalize.
  olmo: { ...GPT2, normalizer: { type: 'NFC' } },
  smollm: DIGITS,
  starcoder: DIGITS,
  refact: DIGITS,
  'command-r': DIGITS,
  'llama-bpe': LLAMA3,
  llama3: LLAMA3,
  'llama-v3': LLAMA3,
  lfm2: LLAMA3,
  'falcon-h1': LLAMA3,
  // The same words, but merged even if the word is a token.
  'smaug-bpe': MERGED,
  dbrx: MERGED,
  glm4: MERGED,
  'chatglm-bpe': MERGED,
  'deepseek-v3': DEEPSEEK,
  // llama.cpp splits alike for both names; the tokenizer of gpt-oss takes a word that is a token.
  'gpt-4o': { ...GPT4O, ignoreMerges: true },
  llama4: GPT4O,
  tekken: TEKKEN,
  qwen2: QWEN2,
  qwen35: QWEN35,
  'deepseek-r1-qwen': QWEN2,
};
