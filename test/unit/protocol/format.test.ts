/** Tests numbers, times and tables as a terminal shows them. */
import { describe, expect, test } from 'vitest';
import { byteSize, compact, duration, exactNumber, flopCount, table } from '../../../trainer/protocol/text/format.ts';

test.each([
  [0.512, '0.5 s'],
  [59.6, '1 min 0 s'],
  [12.3, '12 s'],
  [174, '2 min 54 s'],
  [3780, '1 h 3 min'],
  [Number.NaN, 'unknown'],
])('duration %d', (seconds, shown) => expect(duration(seconds)).toBe(shown));

test.each([
  [999, '999 B'],
  [98_362_432, '98.4 MB'],
  [572e6, '572 MB'],
  [-1500, '-1.5 kB'],
])('bytes %d', (bytes, shown) => expect(byteSize(bytes)).toBe(shown));

test.each([
  [2_160_000, '2.2 MFLOP'],
  [999_000_000, '999 MFLOP'],
  [9_940_000_000, '9.9 GFLOP'],
  [146_017_301_706, '146 GFLOP'],
  [2.5e12, '2,500 GFLOP'],
])('%d operations', (flops, shown) => expect(flopCount(flops)).toBe(shown));

test.each([
  [0.50123, '0.5012'],
  [3e-7, '3e-7'],
  [0.00004081, '4.08e-5'],
  [1_234_567.8, '1.23e+6'],
  [12, '12'],
  [0, '0'],
])('number %d', (value, shown) => expect(compact(value)).toBe(shown));

test.each([
  [0.0000408, '4.08e-5'],
  [-1e-4, '-1e-4'],
  [0.001, '0.001'],
  [2_000_000, '2000000'],
  [-0, '0'],
])('number %d in full', (value, shown) => expect(exactNumber(value)).toBe(shown));

describe('table', () => {
  test('columns line up, numbers to the right', () => {
    expect(
      table([
        ['name', 'loss'],
        ['a', '0.5'],
        ['longer', '12.25'],
      ]),
    ).toBe(['name     loss', 'a         0.5', 'longer  12.25'].join('\n'));
  });

  test('a table without rows is empty', () => expect(table([])).toBe(''));
});
