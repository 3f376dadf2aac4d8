/** Tests the doctor's diagnosis: from facts to problems, each with its fix, and the plugin that it names for a GPU. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { diagnose, findProblems } from '../../../trainer/engine/doctor.ts';
import { parseAvailableMemory, parseCpuFeatures } from '../../../trainer/machine/machine.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const engine = {
  name: 'tensorflow',
  summary: '',
  device: 'cpu',
  fuses: true,
  narrowConvolutions: true,
  versions: {},
  matmulGflops: 90,
} as const;
const healthy: Parameters<typeof findProblems>[0] = {
  node: '20.15.0',
  platform: 'linux x64',
  machine: { cpu: { model: 'x', cores: 2, features: [] }, memory: { totalBytes: 8e9, availableBytes: 4e9 } },
  disk: { folder: '/cache', freeBytes: 1e11 },
  compiler: 'g++ 12',
  installedEngines: ['tensorflow-2.21.0-cpu'],
  installedPlugins: [{ name: 'pjrt-cpu-0.11.2', isCurrent: true, repair: 'rowtune engine install --variant pjrt-cpu' }],
  clearedVariables: [],
  engine,
};
const gpu = { name: 'RTX', driver: '470' };

describe('findProblems', () => {
  it('finds none on a healthy machine', () => expect(findProblems(healthy)).toEqual([]));

  it.each<readonly [string, Partial<typeof healthy>, string]>([
    ['an old Node', { node: '18.20.0' }, 'Node 20.15'],
    ['a Node 20 that is too old', { node: '20.14.0' }, 'Node 20.15'],
    ['a GPU under the CPU build', { gpu }, '--variant cuda'],
    ['a GPU that the CUDA build cannot use', { gpu, installedEngines: ['tensorflow-2.21.0-cuda'] }, 'driver'],
    [
      'a plugin whose addon is old',
      { installedPlugins: [{ name: 'pjrt-cpu-0.11.2', isCurrent: false, repair: 'rowtune engine install --variant pjrt-cpu' }] },
      'rowtune engine install --variant pjrt-cpu',
    ],
    ['no compiler', { installedEngines: [], compiler: undefined }, 'apt install g++'],
    ['no Python', { installedEngines: [], pythonMissing: 'python3 was not found' }, 'apt install python3'],
    ['a full disk', { disk: { folder: '/cache', freeBytes: 1e9 } }, 'ROWTUNE_CACHE'],
    ['a slow engine', { engine: { ...engine, name: 'portable', matmulGflops: 2 } }, 'rowtune engine install'],
  ])('names the remedy of %s', (_, facts, remedy) => {
    const problems = findProblems({ ...healthy, ...facts });
    expect(problems).toHaveLength(1);
    expect(problems[0]?.remedy).toContain(remedy);
  });
});

it('a slow fallback engine is not reported a second time', () => {
  expect(findProblems({ ...healthy, engine: { ...engine, name: 'portable', matmulGflops: 2 }, isFallback: true })).toEqual([]);
});

describe('diagnose', () => {
  it('measures the portable engine when it is asked for', async () => {
    const { engine, machine, images, problems } = await diagnose({ requested: 'portable', cacheDir: '/nonexistent' });
    expect(engine?.name).toBe('portable');
    expect(engine?.matmulGflops).toBeGreaterThan(0);
    expect(images).toMatch(/^sharp [\d.]+, libvips [\d.]+$/);
    expect(machine.memory.availableBytes).toBeGreaterThan(0);
    expect(problems.every(problem => problem.remedy.length > 0)).toBe(true);
  });

  it('lists an engine that was asked for and is missing as a problem', async () => {
    const { engine, problems } = await diagnose({ requested: 'tensorflow', cacheDir: '/nonexistent' });
    expect(engine).toBeUndefined();
    expect(problems[0]).toMatchObject({ severity: 'error', remedy: 'rowtune engine install' });
  });
});

describe('machine', () => {
  it('reads the features of a processor and the memory that is available', () => {
    expect(parseCpuFeatures('model\t: x\nflags\t\t: fpu avx2 avx512f amx_bf16\n')).toEqual(['AVX2', 'AVX512', 'AMX']);
    expect(parseCpuFeatures('Features\t: fp asimd\n')).toEqual(['NEON']);
    expect(parseCpuFeatures('')).toEqual([]);
    expect(parseAvailableMemory('MemTotal:  9 kB\nMemAvailable:   2048 kB\n')).toBe(2 ** 21);
    expect(parseAvailableMemory('')).toBeUndefined();
  });
});

it.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('names the plugin for the GPU that nvidia-smi lists', async () => {
  const folder = makeTemporaryFolder();
  const answer = 'Tesla V100-SXM2-16GB, 580.65.06, 16000, 7.0';
  writeFileSync(path.join(folder, 'nvidia-smi'), `#!/bin/sh\necho "${answer}"\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
  const { gpu: listed, accelerator } = await diagnose({ requested: 'portable', cacheDir: folder });
  vi.unstubAllEnvs();
  expect(listed).toMatchObject({ driver: '580.65.06', capability: '7.0' });
  expect(accelerator).toEqual({ variant: 'cuda12', found: 'Tesla V100-SXM2-16GB (driver 580.65.06)' });
});
