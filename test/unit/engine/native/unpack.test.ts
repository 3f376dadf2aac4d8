/** Tests the kernel of 4-bit codes, compiled for this processor and for one without its vectors: level times scale, bit for bit. */
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

describe.skipIf(!hasCompiler)(`4-bit codes${hasCompiler ? '' : ' (skipped: there is no g++)'}`, () => {
  test.each(builds)('$processor', ({ flags }) => {
    const program = path.join(makeTemporaryFolder(), 'unpack-law');
    const sources = [path.join(import.meta.dirname, 'unpack-law.cc'), path.join(KERNELS, 'unpack.cc')];
    const built = spawnSync('g++', ['-std=c++17', ...flags, '-I', KERNELS, '-o', program, ...sources], { encoding: 'utf8' });
    expect(built.status, built.stderr).toBe(0);
    // On two threads: less than one unit of work, many units, a result that is written past the caches, and blocks whose size is not 64.
    for (const [blocks, block] of [
      [1, 32],
      [3, 64],
      [5000, 64],
      [40_000, 64],
      [700, 96],
    ]) {
      const env = { ...process.env, TF_NUM_INTRAOP_THREADS: '2' };
      const { stdout, stderr } = spawnSync(program, [`${blocks}`, `${block}`], { encoding: 'utf8', env });
      expect({ stdout, stderr }).toEqual({ stdout: '0 0\n', stderr: '' });
    }
  });
});
