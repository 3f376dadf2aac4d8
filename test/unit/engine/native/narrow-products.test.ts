/** Tests products of bfloat16, compiled for this processor and for one without its vectors: those of float32, rounded once, bit for bit. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { KERNEL_FLAGS } from '../../../../trainer/engine/install/kernel-stamp.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';

const KERNELS = path.join(import.meta.dirname, '../../../../trainer/engine/tensorflow/native/kernels');
const hasCompiler = spawnSync('g++', ['--version']).status === 0;

const builds = [
  // Without the address sanitizer, because GCC 12 does not align its stack frames for 64-byte vectors.
  { processor: 'this processor', flags: KERNEL_FLAGS },
  { processor: 'any processor', flags: ['-O1', '-pthread', '-fsanitize=address,undefined', '-fno-sanitize-recover'] },
];

/** Batch, rows, depth, columns: one tile and less, several parts of the depth, many rows, and columns that no panel divides. */
const SIZES = [
  [1, 1, 33, 70],
  [3, 13, 31, 16],
  [2, 30, 385, 50],
  [1, 1100, 40, 33],
  [1, 40, 64, 700],
];

describe.skipIf(!hasCompiler)(`products of bfloat16${hasCompiler ? '' : ' (skipped: there is no g++)'}`, () => {
  test.each(builds)('$processor', ({ flags }) => {
    const program = path.join(makeTemporaryFolder(), 'narrow-products-law');
    const sources = [path.join(import.meta.dirname, 'narrow-products-law.cc'), path.join(KERNELS, 'product.cc')];
    const built = spawnSync('g++', ['-std=c++17', ...flags, '-I', KERNELS, '-o', program, ...sources], { encoding: 'utf8' });
    expect(built.status, built.stderr).toBe(0);
    for (const sizes of SIZES) {
      const env = { ...process.env, TF_NUM_INTRAOP_THREADS: '2' };
      const { stdout, stderr } = spawnSync(program, sizes.map(String), { encoding: 'utf8', env });
      expect({ stdout, stderr }, sizes.join()).toEqual({ stdout: '0\n', stderr: '' });
    }
  });
});
