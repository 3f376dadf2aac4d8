/** Tests tokenizers made to use up memory or time: they are refused with a reason before anything of that size is created. */
import { describe, expect, test } from 'vitest';
import type { GgufValue } from '../../../../trainer/format/gguf/gguf-cursor.ts';
import { ggufTokenizerFiles } from '../../../../trainer/format/gguf/tokenizer/gguf-tokenizer.ts';
import { charsmapNormalizer } from '../../../../trainer/format/tokenizer/charsmap.ts';
import { parseSentencePiece } from '../../../../trainer/format/tokenizer/sentencepiece-model.ts';
import { createTokenizer } from '../../../../trainer/format/tokenizer/tokenizer.ts';
import { replaceMatches } from '../../../../trainer/format/tokenizer/tokenizers/component-limits.ts';
import { compileOniguruma, literal } from '../../../../trainer/format/tokenizer/tokenizers/oniguruma.ts';
import { TimedPattern } from '../../../../trainer/format/tokenizer/tokenizers/timed-pattern.ts';
import { modelFileError } from '../../hub/model-bytes.ts';

const token = (id: number, content: string) => ({ id, content, special: true });
const model = { type: 'WordLevel', unk_token: 'a', vocab: { a: 0, b: 1 } };
const create = (change: Record<string, unknown>) =>
  createTokenizer({ source: 'm', files: new Map([['tokenizer.json', JSON.stringify({ model, ...change })]]) });
const replace = (content: string, pattern: unknown = { String: 'a' }) => ({ type: 'Replace', pattern, content });
const long = 'x'.repeat(1001);
const template = (single: unknown[], ids: number[]) => ({
  post_processor: { type: 'TemplateProcessing', single, pair: [], special_tokens: { '[X]': { id: '[X]', ids, tokens: ['[X]'] } } },
});
const part = { SpecialToken: { id: '[X]', type_id: 0 } };

test.each<[string, Record<string, unknown>, string]>([
  ['a vocabulary id of 2^40', { model: { ...model, vocab: { a: 2 ** 40 } } }, 'a vocabulary id outside 0 to 10000000'],
  ['an id of an added token of 2^40', { added_tokens: [token(2 ** 40, 'x')] }, 'an added token without text or with an id outside'],
  ['an id added to texts of 2^40', template([part], [2 ** 40]), 'adds the id 1099511627776 to a text, but its vocabulary ends at 1'],
  ['a million parts around a text', template(Array(1001).fill(part), [1]), 'has 1001 parts in single; at most 1000'],
  ['a million ids of a part', template([part], Array(1001).fill(1)), 'has no ids of [X], or more than 1000'],
  ['a token of megabytes', { added_tokens: [token(2, 'x'.repeat(2_000_001))] }, 'its added tokens have 2000001 characters together'],
  ['pieces of megabytes', { model: { type: 'Unigram', unk_id: 0, vocab: [['x'.repeat(8_000_001), 0]] } }, 'at most 8000000 are read'],
  ['a replacement of megabytes', { normalizer: replace(long) }, 'Replace has 1001 characters in content; at most 1000'],
  ['a prefix of megabytes', { normalizer: { type: 'Prepend', prepend: long } }, 'Prepend has 1001 characters in prepend'],
  [
    'a thousand steps',
    { normalizer: { type: 'Sequence', normalizers: Array(65).fill({ type: 'NFC' }) } },
    'has 65 steps in normalizers; at most 64',
  ],
  [
    'words without end',
    { model: { ...model, type: 'WordPiece', max_input_chars_per_word: 1e9 } },
    'has 1000000000 in max_input_chars_per_word',
  ],
  [
    'a repetition of a million',
    { pre_tokenizer: { type: 'Split', behavior: 'Isolated', pattern: { Regex: 'a{1000000}' } } },
    'more than 1000 repetitions',
  ],
])('%s', async (_, change, message) => {
  expect((await modelFileError(async () => create(change))).message).toContain(message);
});

test('repetitions inside repetitions count multiplied, those in sequence do not', () => {
  expect(() => compileOniguruma('((a{100}){100}){100}')).toThrow('more than 1000 repetitions');
  expect(() => compileOniguruma('a{800}b{800}(c{1,3}){2}')).not.toThrow();
});

const encoding = (normalizer: unknown) => () => create({ normalizer }).encode('a', { addSpecialTokens: false });

test('a text that each step makes longer ends as an error', () => {
  const doubling = { type: 'Sequence', normalizers: Array(26).fill(replace('aa')) };
  expect(encoding(doubling)).toThrow(
    'm/tokenizer.json: cannot be used: its normalizer makes more than 1064 characters of a text of 1. Correct',
  );
  expect(encoding({ ...doubling, normalizers: Array(2).fill(replace('a'.repeat(1000))) })).toThrow('its normalizer makes more than 65000');
  const decoding = create({ decoder: { type: 'Sequence', decoders: Array(12).fill(replace('a'.repeat(1000))) } });
  expect(() => decoding.decode([0], { skipSpecialTokens: false })).toThrow('its decoder makes more than');
  // A megabyte in which each match is replaced.
  expect(replaceMatches('ab'.repeat(2 ** 19 + 1), literal('b'), 'cc', 'normalizer')).toBe('acc'.repeat(2 ** 19 + 1));
});

test('a pattern of exponential time ends as an error, for every use of it', () => {
  const written = `${'(a+)+'}b`;
  const slow = new TimedPattern('(?:a+)+b', written, true, 20);
  const text = 'a'.repeat(60);
  const message = 'its pattern (a+)+b takes more than 0.02 seconds to search a text of 60 characters';
  for (const use of [() => text.match(slow), () => text.replace(slow, ''), () => [...text.matchAll(slow)]]) expect(use).toThrow(message);
  const found = [...'aab-ab'.matchAll(compileOniguruma(written))];
  expect(found.map(match => [match.index, match[0]])).toEqual([
    [0, 'aab'],
    [4, 'ab'],
  ]);
  // Matches are found a thousand at a time.
  expect([...'ab'.repeat(2500).matchAll(compileOniguruma('a|'))]).toHaveLength(5001);
});

test('a map of characters with a replacement of kilobytes', () => {
  const map = Buffer.concat([Buffer.from([4, 0, 0, 0]), Buffer.alloc(4), Buffer.alloc(1001, 'x'), Buffer.alloc(1)]);
  expect(() => charsmapNormalizer(map)).toThrow('has a replacement of 1001 bytes; at most 1000');
});

test('a SentencePiece model of millions of empty pieces', async () => {
  const pieces = Buffer.alloc(2 * 2_000_001, Buffer.from([0x0a, 0]));
  expect((await modelFileError(() => parseSentencePiece('m', pieces))).message).toContain('it has 2000001 pieces; at most 2000000');
});

describe('a vocabulary of GGUF without merges', () => {
  const filesOf = (tokens: readonly string[]) =>
    ggufTokenizerFiles('m', {
      metadata: new Map<string, GgufValue>([
        ['tokenizer.ggml.model', 'llama'],
        ['tokenizer.ggml.tokens', tokens],
      ]),
    });
  test('with a very long piece is refused', async () => {
    expect((await modelFileError(async () => filesOf(['x'.repeat(100_000)]))).message).toContain('too long to find its merges');
  });
  test('with short pieces gets its merges', () => {
    expect(filesOf(['a', 'b', 'ab']).get('tokenizer.json')).toContain('["a","b"]');
  });
});
