/** Tests regular expressions of users: the same results as JavaScript's own, and none takes exponential time. */
import { describe, expect, test } from 'vitest';
import { elementAt } from '../../../trainer/narrow.ts';
import { linearPattern } from '../../../trainer/protocol/text/linear-pattern.ts';
import { createRandom } from '../../../trainer/random.ts';

const names = [
  '',
  'q_proj',
  'model.layers.3.self_attn.q_proj',
  'model.layers.31.mlp.up_proj',
  'lm_head',
  'aaa',
  'ab',
  'ba.b',
  'a\nb',
  'é',
  '😀a',
];

describe('as JavaScript', () => {
  test.each([
    '',
    'a',
    '^a',
    'a$',
    '^$',
    '.',
    '^.$',
    'a|',
    '|',
    'a|b|c',
    '(?:)',
    '()*',
    '(a*)*b',
    '(a|b)*?b',
    'a{0}',
    'a{2}',
    '^a{2,}$',
    '^(?:ab?){1,3}$',
    'a{0,2}$',
    '\\d+',
    '\\bself',
    '\\Bproj',
    '\\.(?:[0-9]|1[0-9])\\.',
    '[^a-z]',
    '[\\]a]',
    '^[\\w.]+$',
    '\\p{L}',
    '\\P{L}',
    '\\u0061',
    '\\u{1F600}',
    '\\uD83D\\uDE00',
    '\\x61',
    '[\\u{1F600}]',
    '^model\\.layers\\.(?<layer>\\d+)\\..*_proj$',
    '(?:q|k|v)_proj$',
    '^(.*\\.)?(q_proj|up_proj)$',
    '\\s',
    '\\/',
    '[-a]',
    '\\^',
    '(?:^|\\.)lm_head',
    '(?:$)',
    'a(?:\\b)*',
    '(?:^)*a',
  ])('/%s/', source => {
    const matches = linearPattern(source);
    expect(names.map(matches)).toEqual(names.map(name => new RegExp(source, 'u').test(name)));
  });

  test('thousands of random expressions', () => {
    const { uniform: random } = createRandom(1);
    const pick = <T>(items: readonly T[]): T => elementAt(items, Math.floor(random() * items.length));
    const make = (depth: number): string => {
      const part = (): string => {
        const one =
          depth === 0 || random() < 0.6
            ? pick(['a', 'b', '.', '[ab]', '[^a]', '\\w', '\\b', '\\B', '^', '$'])
            : `(${pick(['', '?:'])}${make(depth - 1)})`;
        return /^(?:\\[bB]|[$^])$/.test(one) ? one : one + pick(['', '', '', '*', '+', '?', '{0,2}', '{2}', '*?', '{1,}']);
      };
      return Array.from({ length: 1 + Math.floor(random() * 3) }, part).join(pick(['', '', '|']));
    };
    const texts = ['', 'a', 'b', 'ab', 'ba', 'aab', 'abb', 'a.b', '.', 'bbab', 'c'];
    for (let i = 0; i < 5000; i++) {
      const source = make(2);
      const native = new RegExp(source, 'u');
      expect([source, texts.map(linearPattern(source))]).toEqual([source, texts.map(text => native.test(text))]);
    }
  });
});

test('what takes backtracking exponential time does not here', () => {
  const name = `${'model.layers_0'.repeat(5)}.self_attn.q_proj`;
  for (const source of ['^(([a-z._0-9]+)+)+X$', '(a|a)*$X', '(.*)*X', '^(.+.+)+X$', '(?:.?){100}X', '(\\w+\\.?)*X'])
    expect(linearPattern(source)(name)).toBe(false);
});

test.each([
  ['a(?=b)', 'looks ahead or behind (?= ?! ?<= ?<!), which can take exponential time and is not supported'],
  ['(?<!a)b', 'looks ahead or behind (?= ?! ?<= ?<!), which can take exponential time and is not supported'],
  ['(a)\\1', 'refers back to a group (\\1, \\k<name>), which can take exponential time and is not supported'],
  ['(?<x>a)\\k<x>', 'refers back to a group (\\1, \\k<name>), which can take exponential time and is not supported'],
  ['((a{100}){100}){100}', 'asks for more than 1000 states once its repetitions are written out'],
  [`${'('.repeat(60)}a${')'.repeat(60)}`, 'nests more than 50 groups'],
  ['a'.repeat(1001), 'has 1001 characters; at most 1000 are read'],
  ['(a', 'is invalid: Unterminated group'],
  ['a)', "is invalid: Unmatched ')'"],
  ['[a', 'is invalid: Unterminated character class'],
  ['a{1', 'is invalid: Incomplete quantifier'],
  ['+a', 'is invalid: Nothing to repeat'],
])('%s is refused', (source, message) => {
  expect(() => linearPattern(source)).toThrow(message);
});
