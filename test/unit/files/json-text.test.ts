/** Tests that numbers keep their spelling if they keep their value and their position. */
import { expect, test } from 'vitest';
import { jsonLike } from '../../../trainer/files/json-text.ts';

test('2.0 stays 2.0, a changed number is written anew, and what is new has its own spelling', () => {
  const text = '{"a": 2.0, "b": [1, 1e-05, {"c": 3.00}], "d": "1.0, \\"x\\": 4.0", "e": {"a": 1.0}}';
  const value = { ...JSON.parse(text), e: { a: 2 }, f: [7, {}, []] };
  const written = jsonLike(value, text);
  expect(JSON.parse(written)).toEqual(value);
  expect(written).toContain('"a": 2.0,');
  expect(written).toContain('1e-05,');
  expect(written).toContain('"c": 3.00');
  expect(written).toContain('"a": 2\n');
  expect(written).toContain('"f": [\n    7,\n    {},\n    []\n  ]');
});

test('a new value is written as plain JSON', () => {
  expect(jsonLike({ a: [1.5, null, 'x'] }, '')).toBe(`${JSON.stringify({ a: [1.5, null, 'x'] }, null, 2)}\n`);
});

test('Infinity is written as Python writes it', () => {
  expect(jsonLike({ limit: [0, Number.POSITIVE_INFINITY] }, '{"limit": [0.0, Infinity]}')).toContain('0.0,\n    Infinity\n');
});
