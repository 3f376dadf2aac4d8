/** Tests sizes that depend on the input: they are inferred from samples, whatever the polynomial. */
import { describe, expect, test } from 'vitest';
import { fitSize, fixedValue, keyOfSize, plus, valueAt } from '../../../trainer/artifact/onnx/size.ts';

const grid = { batches: [7, 11], lengths: [8189, 8190, 8191] };
const samplesOf = (of: (batch: number, tokens: number) => number): number[] =>
  grid.batches.flatMap(batch => grid.lengths.map(tokens => of(batch, tokens)));

describe('a size', () => {
  test.each<[string, (batch: number, tokens: number) => number]>([
    ['1536·b0t0', () => 1536],
    ['1·b1t0', batch => batch],
    ['1·b0t1', (_, tokens) => tokens],
    ['1·b1t1', (batch, tokens) => batch * tokens],
    ['-1·b0t1+2·b0t2', (_, tokens) => tokens * (2 * tokens - 1)],
    ['8193·b0t0+-1·b0t1', (_, tokens) => 8193 - tokens],
    ['12·b1t2', (batch, tokens) => 12 * batch * tokens ** 2],
  ])('%s', (key, of) => {
    const size = fitSize(samplesOf(of), grid);
    expect(keyOfSize(size)).toBe(key);
    expect(valueAt(size, 3, 40)).toBe(of(3, 40));
    expect(fixedValue(size)).toBe(key.endsWith('b0t0') ? 1536 : undefined);
  });
});

test('of images has no length', () => {
  const size = fitSize([7 * 196, 11 * 196], { batches: [7, 11], lengths: [0] });
  expect(keyOfSize(size)).toBe('196·b1t0');
});

test('that does not grow as a polynomial with whole coefficients is an error', () => {
  expect(() =>
    fitSize(
      samplesOf((_, tokens) => Math.floor(tokens / 2)),
      grid,
    ),
  ).toThrow(/no polynomial/);
});

test('sums drop terms that cancel', () => {
  const [a, b] = [(_: number, tokens: number) => 5 - tokens, (_: number, tokens: number) => tokens].map(of => fitSize(samplesOf(of), grid));
  expect(keyOfSize(plus(a ?? [], b ?? []))).toBe('5·b0t0');
});
