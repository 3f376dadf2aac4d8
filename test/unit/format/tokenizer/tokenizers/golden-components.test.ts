/** Compares single components of tokenizer.json, and their character classes over all of Unicode, with Hugging Face's `tokenizers`. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createDecoder } from '../../../../../trainer/format/tokenizer/tokenizers/decoders.ts';
import { createNormalizer } from '../../../../../trainer/format/tokenizer/tokenizers/normalizers.ts';
import { createPreTokenizer } from '../../../../../trainer/format/tokenizer/tokenizers/pre-tokenizers.ts';
import { elementAt, required } from '../../../../../trainer/narrow.ts';
import { readGoldenJson } from '../../../../support/files/read-json.ts';

type Spec = Readonly<Record<string, unknown>>;
const specForm = z.record(z.string(), z.unknown());
const words = z.array(z.string());
const rangesForm = z.array(z.tuple([z.number(), z.number()]));

const golden = readGoldenJson(
  'tokenizers/components.json.gz',
  z.object({
    texts: words,
    normalizers: z.array(z.tuple([specForm, words])),
    pre_tokenizers: z.array(z.tuple([specForm, z.array(words)])),
    decoders: z.array(z.tuple([specForm, z.array(z.tuple([words, z.string()]))])),
    classes: z.record(z.string(), z.unknown()),
  }),
);
const named = <T>(list: ReadonlyArray<readonly [Spec, T]>): Array<[string, Spec, T]> =>
  list.map(([spec, expected]) => [JSON.stringify(spec).slice(0, 160), spec, expected]);
/** Returns only the differences, so that a failure is readable. */
const differing = (inputs: readonly unknown[], actual: readonly unknown[], expected: readonly unknown[]): unknown[] =>
  inputs.flatMap((input, i) => (JSON.stringify(actual[i]) === JSON.stringify(expected[i]) ? [] : [[input, actual[i], expected[i]]]));

test.each(named(golden.normalizers))('normalizer %s', (_, spec, expected) => {
  const normalize = createNormalizer(spec);
  expect(
    differing(
      golden.texts,
      golden.texts.map(text => normalize?.(text)),
      expected,
    ),
  ).toEqual([]);
});

/** Returns the words of a text as the vocabulary spells them. */
const wordsOf = (spec: Spec) => {
  const { split, spell } = createPreTokenizer(spec);
  return (text: string): string[] => {
    const words: string[] = [];
    split(word => words.push(spell(word)))(text, true);
    return words;
  };
};

test.each(named(golden.pre_tokenizers))('pre-tokenizer %s', (_, spec, expected) => {
  expect(differing(golden.texts, golden.texts.map(wordsOf(spec)), expected)).toEqual([]);
});

test.each(named(golden.decoders))('decoder %s', (_, spec, expected) => {
  const decode = createDecoder(spec);
  const tokens = expected.map(([list]) => list);
  expect(
    differing(
      tokens,
      tokens.map(list => decode?.(list).join('')),
      expected.map(([, text]) => text),
    ),
  ).toEqual([]);
});

const assigned = /^\P{Cn}$/u;
/** The additions of Unicode 17: the library's regular expressions know 16, and Node's version depends on its release. */
const UNICODE_17 =
  '\\u088f\\u0c5c\\u0cdc\\u1acf-\\u1aeb\\u20c1\\u2b96\\ua7ce-\\ua7cf\\ua7d2\\ua7d4\\ua7f1\\ufbc3-\\ufbd2\\ufd90-\\ufd91\\ufdc8-\\ufdce\\u{10940}-\\u{10959}\\u{10ec5}-\\u{10efb}\\u{11b60}-\\u{11b67}\\u{11db0}-\\u{11de9}\\u{16ea0}-\\u{16ed3}\\u{16ff2}-\\u{16ff6}\\u{187f8}-\\u{187ff}\\u{18d09}-\\u{18df2}\\u{1ccfa}-\\u{1ccfc}\\u{1ceba}-\\u{1cef0}\\u{1e6c0}-\\u{1e6ff}\\u{1f6d8}\\u{1f777}-\\u{1f77a}\\u{1f8d0}-\\u{1f8d8}\\u{1fa54}-\\u{1fa57}\\u{1fa8a}\\u{1fa8e}\\u{1fac8}\\u{1facd}\\u{1faea}\\u{1faef}\\u{1fbfa}\\u{2b73a}-\\u{2b73f}\\u{2cea2}-\\u{2cead}\\u{323b0}-\\u{323ff}';
const unicode17 = new RegExp(`[${UNICODE_17}]`, 'u');

describe('classes of characters', () => {
  const normalizer = (spec: Spec) => required(createNormalizer(spec), 'a normalizer');
  const bert = normalizer({
    type: 'BertNormalizer',
    clean_text: true,
    handle_chinese_chars: false,
    strip_accents: false,
    lowercase: false,
  });
  const chinese = normalizer({
    type: 'BertNormalizer',
    clean_text: false,
    handle_chinese_chars: true,
    strip_accents: false,
    lowercase: false,
  });
  const strip = normalizer({ type: 'Strip', strip_left: true, strip_right: true });
  const decomposed = normalizer({
    type: 'BertNormalizer',
    clean_text: false,
    handle_chinese_chars: false,
    strip_accents: true,
    lowercase: false,
  });
  const lowercase = normalizer({ type: 'Lowercase' });
  const accents = normalizer({ type: 'StripAccents' });
  const apart = (split: (text: string) => string[], c: string): boolean => {
    const words = split(`a${c}a`);
    return words.length > 1 || elementAt(words, 0).length < 2 + c.length;
  };
  const splits = {
    bert: wordsOf({ type: 'BertPreTokenizer' }),
    punctuation: wordsOf({ type: 'Punctuation', behavior: 'Isolated' }),
    digits: wordsOf({ type: 'Digits', individual_digits: true }),
    word: wordsOf({ type: 'Whitespace' }),
  };
  const matches = (pattern: string) => {
    const remove = normalizer({ type: 'Replace', pattern: { Regex: pattern }, content: '' });
    return (c: string): boolean => remove(c) === '';
  };
  const tests: Readonly<Record<string, (c: string) => boolean>> = {
    bert_removed: c => bert(`a${c}a`) === 'aa',
    bert_space: c => c !== ' ' && bert(`a${c}a`) === 'a a',
    chinese: c => chinese(`a${c}a`) !== `a${c}a`,
    white_space: c => strip(c) === '',
    bert_punctuation: c => strip(c) !== '' && apart(splits.bert, c),
    punctuation: c => apart(splits.punctuation, c),
    digits: c => apart(splits.digits, c),
    word: c => strip(c) !== '' && !apart(splits.word, c),
    bert_accents: c => decomposed(`a${c}a`) === 'aa',
    lowercase: c => lowercase(c) !== c,
    ...Object.fromEntries(
      ['NFD', 'NFC', 'NFKD', 'NFKC'].map(type => {
        const normalize = normalizer({ type });
        return [type.toLowerCase(), (c: string) => normalize(c) !== c];
      }),
    ),
    accents: c => accents(`a${c}a`) === 'aa',
    ...Object.fromEntries(
      [
        ['onig_L', '\\p{L}'],
        ['onig_N', '\\p{N}'],
        ['onig_s', '\\s'],
        ['onig_w', '\\w'],
        ['onig_d', '\\d'],
        ['onig_P', '\\p{P}'],
        ['onig_S', '\\p{S}'],
        ['onig_M', '\\p{M}'],
        ['onig_Lu', '\\p{Lu}'],
        ['onig_punct', '[[:punct:]]'],
        ['onig_word_class', '[\\w]'],
        ['onig_alnum', '[[:alnum:]]'],
      ].map(([name = '', pattern = '']) => [name, matches(pattern)]),
    ),
  };
  test.each(Object.entries(tests))(
    '%s',
    (name, holds) => {
      const expected = rangesForm.parse(golden.classes[name]);
      const inside = (code: number): boolean => expected.some(([from, to]) => from <= code && code <= to);
      const wrong: string[] = [];
      for (let code = 0; code < 0x30000; code++) {
        const c = String.fromCodePoint(code);
        if ((code >= 0xd800 && code < 0xe000) || !assigned.test(c) || unicode17.test(c) || /\p{Co}/u.test(c)) continue;
        if (holds(c) !== inside(code)) wrong.push(code.toString(16));
      }
      expect(wrong).toEqual([]);
    },
    60_000,
  );
});
