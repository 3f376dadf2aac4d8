/** The pool after loading: small cases by hand, and the regions of a measured run. */
import { expect, test } from 'vitest';
import { type LoadedVariable, loadedPool, unusedBytes } from '../../../../trainer/plan/memory/loaded-pool.ts';

const MIB = 2 ** 20;
const fed = (mebibytes: number): LoadedVariable => ({ bytes: mebibytes * MIB, isZero: false });
const zero = (mebibytes: number): LoadedVariable => ({ bytes: mebibytes * MIB, isZero: true });

test('what was fed is free afterwards, and the table covers whole regions', () => {
  // Two regions of 16 MiB: one for what is fed, one for the variable.
  expect(loadedPool([[fed(10)]])).toEqual({ wastedBytes: 0, freeBytes: 10 * MIB, tableBytes: MIB });
});

test('of zeros only one is fed, and small variables are none of the pool', () => {
  expect(loadedPool([[zero(1)]])).toEqual({ wastedBytes: 0, freeBytes: MIB, tableBytes: MIB / 16 });
  expect(loadedPool([[fed(0.2), zero(0.2)]])).toEqual({ wastedBytes: 0, freeBytes: 0, tableBytes: 0 });
});

test('a chunk that is not cut wastes what was written there before', () => {
  // 5.5 MiB lie in the remaining 10.5 of the 16, of which the first variable has written 1 MiB behind them.
  expect(loadedPool([[fed(12), fed(5.5)]])).toEqual({ wastedBytes: MIB, freeBytes: 5.5 * MIB, tableBytes: MIB });
});

test('neighbors that are free join', () => {
  // Seven are fed by one run, in a region of 2 MiB; what the next feeds takes the room of all seven.
  const { freeBytes } = loadedPool([Array<LoadedVariable>(7).fill(fed(0.25)), [fed(1.75)]]);
  expect(freeBytes).toBe(1.75 * MIB);
});

test('no region is larger than what is left of the memory', () => {
  // Regions of 16, 16 and 32 MiB are due: for the zeros, the first and the second variable.
  const zeros = [[zero(12)], [zero(12)]];
  expect(loadedPool(zeros).tableBytes).toBe((64 * MIB) / 32);
  expect(loadedPool(zeros, 52 * MIB).tableBytes).toBe((52 * MIB) / 32);
});

test('activations fill what is free', () => {
  const pool = { wastedBytes: 1, freeBytes: 10, tableBytes: 2 };
  expect([0, 4, 10, 50].map(bytes => unusedBytes(pool, bytes))).toEqual([13, 9, 3, 3]);
});

test.each([
  { layers: 2, resident: 1776 },
  { layers: 4, resident: 2675 },
])("SPSFT r 128 of $layers layers of Llama-2-7B's sizes in bfloat16: as resident as measured", ({ layers, resident }) => {
  const [width, inner, vocabulary, r] = [4096, 11008, 32000, 128];
  const matrices = [...Array<[number, number]>(4).fill([width, width]), [inner, width], [inner, width], [width, inner]] as const;
  const bytes = (size: number): LoadedVariable => ({ bytes: size, isZero: false });
  const table = bytes(2 * vocabulary * width);
  const block = [...matrices.flatMap(([out, by]) => [bytes(2 * out * by), bytes(4 * r * by)]), bytes(4 * width), bytes(4 * width)];
  const weights = [table, ...Array.from({ length: layers }, () => block).flat(), bytes(4 * width), table];
  const moments = Array.from({ length: layers }, () => [6 * r * width, 6 * r * width, r * inner, r * inner]).flat();
  const state = moments.map(count => ({ bytes: 4 * count, isZero: true }));
  const { wastedBytes, freeBytes } = loadedPool([weights, [], [], state]);
  const held = [...weights, ...state].reduce((sum, variable) => sum + variable.bytes, 0);
  expect(Math.abs((held + wastedBytes + freeBytes) / 1e6 - resident)).toBeLessThan(3);
});
