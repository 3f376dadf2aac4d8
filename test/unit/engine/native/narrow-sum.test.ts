/** Tests sums in narrow types with the ranks' own code: all ranks get the same result, and what int8 rounds off is never lost for good. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type SumType, sumForms } from '../../../../trainer/graph/sum-forms.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

const NATIVE = path.join(import.meta.dirname, '../../../../trainer/engine/mpi/native');
const hasCompiler = spawnSync('g++', ['--version']).status === 0;
const program = path.join(makeTemporaryFolder(), 'narrow-sum-law');

interface Found {
  /** Number of rounds in which a rank got a different sum from the first rank. */
  readonly differing: number;
  /** Largest errors relative to the largest value, with and without the kept rounding errors. */
  readonly kept: number;
  readonly plain: number;
  readonly bytes: number;
}

interface Sums {
  readonly form: SumType;
  readonly ranks: number;
  readonly count: number;
  readonly rounds: number;
  readonly keeps: boolean;
}

function sums({ form, ranks, count, rounds, keeps }: Sums): Found {
  const { stdout, stderr, status } = spawnSync(program, [sumForms[form].code, ranks, count, rounds, Number(keeps)].map(String), {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe.skipIf(!hasCompiler)(`narrow sums${hasCompiler ? '' : ' (skipped: there is no g++)'}`, () => {
  beforeAll(() => {
    const sources = [path.join(import.meta.dirname, 'narrow-sum-law.cc'), path.join(NATIVE, 'narrow-sum.cc')];
    const options = ['-std=c++17', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover', '-I', NATIVE, '-o', program];
    const { status, stderr } = spawnSync('g++', [...options, ...sources], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
  });

  test.each([
    { ranks: 2, count: 1000 },
    { ranks: 3, count: 257 },
    { ranks: 4, count: 3 },
    { ranks: 5, count: 640 },
  ])('$ranks ranks, $count numbers: with int8, what was received and what is kept are what was given', ({ ranks, count }) => {
    const found = sums({ form: 'int8', ranks, count, rounds: 50, keeps: true });
    expect(found.differing).toBe(0);
    // Rounding of float32, once per round and rank.
    expect(found.kept).toBeLessThan(1e-5);
    // Only the errors of the last rounds are missing, so the total does not grow; without keeping them, it does.
    const lost = sums({ form: 'int8', ranks, count, rounds: 50, keeps: false });
    expect(found.plain).toBeLessThan(0.02);
    if (count > 3) expect(lost.plain).toBeGreaterThan(1.5 * found.plain);
    expect(found.bytes).toBe(sumForms.int8.bytes(count));
  });

  test('bfloat16 rounds to 8 bits, the same on all ranks', () => {
    const found = sums({ form: 'bfloat16', ranks: 3, count: 500, rounds: 1, keeps: false });
    expect(found.differing).toBe(0);
    expect(found.plain).toBeLessThan(2 ** -7);
    expect(found.bytes).toBe(1000);
  });
});
