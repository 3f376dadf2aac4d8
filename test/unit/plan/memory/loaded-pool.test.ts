/** Tests the table of the pool after loading: its regions in small cases worked out by hand. */
import { expect, test } from 'vitest';
import { poolTableBytes } from '../../../../trainer/plan/memory/loaded-pool.ts';

const MIB = 2 ** 20;
/** Eight bytes for each 256 of a region. */
const tableOf = (mebibytes: number): number => (mebibytes * MIB) / 32;

test.each<[string, number[], number]>([
  ['no variable, no region', [], 0],
  ['small variables are none of the pool', [0.2, 0.2], 0],
  ['the first region is of 2 MiB', [1], 2],
  ['a region doubles until the variable fits', [10], 16],
  ['the next is as large, and the one after it twice as large', [10, 10, 10], 16 + 16 + 32],
  ['what is left of a chunk takes what fits', [1, 1], 2],
  ['a chunk that is not cut is left to one variable', [3, 1], 4 + 4],
  ['the smallest chunk that is large enough is taken', [1, 1.5, 1, 2.5], 2 + 4],
])('%s', (_, variables, regions) => {
  expect(poolTableBytes(variables.map(size => size * MIB))).toBe(tableOf(regions));
});

test('no region is larger than what is left of the memory', () => {
  const variables = [12, 12, 12].map(size => size * MIB);
  expect(poolTableBytes(variables)).toBe(tableOf(16 + 16 + 32));
  expect(poolTableBytes(variables, 52 * MIB)).toBe(tableOf(52));
});
