/** Tests that the strict JSON reader agrees with JSON.parse on valid input, and reports the position of errors otherwise. */
import { expect, test } from 'vitest';
import { JsonSyntaxError, parseStrictJson } from '../../../trainer/files/strict-json.ts';

test.each([
  '{}',
  '[]',
  ' {"a": [1, -2.5e3, "x\\u00e9\\n\\"", true, false, null], "b": {"c": {}}} ',
  '"text"',
  '0',
  '[[[]]]',
  '{"__proto__": 1}',
])('%s', text => {
  expect(parseStrictJson(text)).toEqual(JSON.parse(text));
});

test.each([
  ['{"a": 1, "a": 2}', 'the key "a" appears twice at line 1, column 10'],
  ['{"a": 1,}', 'expected a key in double quotes at line 1, column 9'],
  ['{\n  "a": 1\n  "b": 2}', 'expected "," or "}" at line 3, column 3'],
  ['[1, 2', 'expected "," or "]" at line 1, column 6'],
  ['{"a": NaN}', 'NaN is not JSON at line 1, column 7'],
  ['{"a": 01}', 'expected "," or "}" at line 1, column 8'],
  ['"abc', 'a string is not closed at line 1, column 1'],
  ['"\\x"', 'a string holds a bad escape or a control character at line 1, column 1'],
  ['{} {}', 'text after the end of the value at line 1, column 4'],
  ['', 'the text ends too early at line 1, column 1'],
  ['['.repeat(100), 'nested deeper than 64 at line 1, column 66'],
])('%s', (text, message) => {
  expect(() => parseStrictJson(text)).toThrow(new JsonSyntaxError(message));
});

test('Python writes non-finite numbers in its configs', () => {
  expect(parseStrictJson('[NaN, Infinity, -Infinity]', { allowNonFinite: true })).toEqual([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ]);
});
