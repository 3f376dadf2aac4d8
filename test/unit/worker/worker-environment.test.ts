/** Tests that a worker computes the same whatever the shell that started it has set for TensorFlow, libc, CUDA and Node. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { daemonEnvironment, inheritedEnvironment } from '../../../trainer/engine/inherited-environment.ts';
import { workerEnvironment } from '../../../trainer/engine/tensorflow/environment.ts';
import { totalMemoryBytes } from '../../../trainer/machine/machine.ts';
import { startWorkerProcess } from '../../../trainer/worker/worker-process.ts';

describe('inherited', () => {
  it.each([
    'PATH',
    'HOME',
    'LC_ALL',
    'TMPDIR',
    'Path',
    'SystemRoot',
    'https_proxy',
    'NO_PROXY',
    'NODE_EXTRA_CA_CERTS',
    'NODE_USE_ENV_PROXY',
    'LD_LIBRARY_PATH',
    'CUDA_VISIBLE_DEVICES',
    'HIP_VISIBLE_DEVICES',
    'ROCR_VISIBLE_DEVICES',
    'HSA_OVERRIDE_GFX_VERSION',
    'ONEAPI_DEVICE_SELECTOR',
    'VK_ICD_FILENAMES',
    'ROWTUNE_CACHE',
    'XDG_STATE_HOME',
  ])('%s', name => expect(inheritedEnvironment({ [name]: 'x' })).toEqual({ env: { [name]: 'x' }, cleared: [] }));
});

describe('cleared and named', () => {
  it.each([
    'TF_XLA_FLAGS',
    'XLA_FLAGS',
    'TF_ENABLE_ONEDNN_OPTS',
    'TF_CUDNN_DETERMINISTIC',
    'TF_DISABLE_MKL',
    'TF_GPU_ALLOCATOR',
    'ONEDNN_DEFAULT_FPMATH_MODE',
    'DNNL_MAX_CPU_ISA',
    'OMP_NUM_THREADS',
    'KMP_AFFINITY',
    'MKL_NUM_THREADS',
    'NVIDIA_TF32_OVERRIDE',
    'CUDA_LAUNCH_BLOCKING',
    'CUBLAS_WORKSPACE_CONFIG',
    'LD_PRELOAD',
    'LD_AUDIT',
    'GLIBC_TUNABLES',
    'MALLOC_ARENA_MAX',
    'NODE_OPTIONS',
    'NODE_DEBUG',
    'UV_THREADPOOL_SIZE',
  ])('%s', name => expect(inheritedEnvironment({ [name]: '1' })).toEqual({ env: { ROWTUNE_CLEARED_VARIABLES: name }, cleared: [name] }));
});

it('a daemon keeps what its settings read, and its workers know what it cleared', () => {
  const shell = {
    PATH: '/bin',
    HF_TOKEN: 'hf_x',
    NO_COLOR: '1',
    NODE_OPTIONS: '--inspect',
    LD_PRELOAD: 'x.so',
    AWS_SECRET_ACCESS_KEY: 'x',
  };
  const { env, cleared } = daemonEnvironment(shell);
  expect(cleared).toEqual(['LD_PRELOAD', 'NODE_OPTIONS']);
  expect(env).toEqual({ PATH: '/bin', HF_TOKEN: 'hf_x', NO_COLOR: '1', ROWTUNE_CLEARED_VARIABLES: 'LD_PRELOAD,NODE_OPTIONS' });
  expect(inheritedEnvironment({ ...env, TF_XLA_FLAGS: '1' }).cleared).toEqual(['LD_PRELOAD', 'NODE_OPTIONS', 'TF_XLA_FLAGS']);
  // Only valid variable names are accepted.
  expect(inheritedEnvironment({ ROWTUNE_CLEARED_VARIABLES: 'HOME,x y,,' }).cleared).toEqual([]);
});

it('an empty CUDA_VISIBLE_DEVICES hides every GPU, so it is inherited', () =>
  expect(inheritedEnvironment({ CUDA_VISIBLE_DEVICES: '' }).env).toEqual({ CUDA_VISIBLE_DEVICES: '' }));

it('a token is neither inherited nor named, nor is an empty variable named', () =>
  expect(inheritedEnvironment({ HF_TOKEN: 'hf_x', AWS_SECRET_ACCESS_KEY: 'x', TF_XLA_FLAGS: '', HOME: undefined })).toEqual({
    env: {},
    cleared: [],
  }));

it('weights in the memory of the host may take most of it, and not all: of the machine, or of its container', () => {
  const limit = (memoryBytes?: number) => workerEnvironment({ threads: 1, memoryBytes }).XLA_PJRT_GPU_HOST_MEMORY_LIMIT_GB;
  expect(limit(128 * 2 ** 30)).toBe('102');
  expect(limit(2 ** 30)).toBe('1');
  expect(limit()).toBe(limit(totalMemoryBytes()));
});

describe('a worker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-environment-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('finds none of them, hears their names, and starts with --require of a missing module in NODE_OPTIONS', async () => {
    const workerFile = join(folder, 'worker.mjs');
    const value = '{ flags: process.env.TF_XLA_FLAGS, options: process.env.NODE_OPTIONS, cleared: request.context.clearedVariables }';
    writeFileSync(
      workerFile,
      `process.once('message', request => process.send({ type: 'result', value: ${value} }, () => process.disconnect()));`,
    );
    vi.stubEnv('TF_XLA_FLAGS', '--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit');
    vi.stubEnv('NODE_OPTIONS', '--require /nowhere/missing.cjs');
    const request = { kind: 'doctor', engine: 'portable', context: { cacheDir: folder, baseDir: folder, hub: { offline: true } } } as const;
    const { last } = await startWorkerProcess({ request, threads: 1, workerFile, onEvent: () => undefined, onLine: () => undefined }).ended;
    expect(last).toMatchObject({ type: 'result', value: { cleared: expect.arrayContaining(['NODE_OPTIONS', 'TF_XLA_FLAGS']) } });
    expect(last).not.toMatchObject({ value: { flags: expect.anything() } });
    expect(last).not.toMatchObject({ value: { options: expect.anything() } });
  });
});
