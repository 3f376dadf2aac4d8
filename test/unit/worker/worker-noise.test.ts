/** Tests which part of a worker's stderr is kept. */
import { describe, expect, test } from 'vitest';
import { isNoise } from '../../../trainer/worker/worker-noise.ts';

describe('noise', () => {
  test.each([
    '',
    '2026-01-02 03:04:05.678901: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized',
    '2026-01-02 03:04:05.678901: W tensorflow/core/framework/op_kernel.cc:1] something',
    'I0000 00:00:1764000000.1 1234 service.cc:145] XLA service initialized',
    'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
    'E0000 00:00:1764000000.1 1234 cuda_dnn.cc:8579] Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered',
    '2026-01-02 03:04:05.1: E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:152] failed call to cuInit: INTERNAL: CUDA error',
    '(node:1234) [UNDICI-EHPA] Warning: EnvHttpProxyAgent is experimental, expect them to change at any time.',
  ])('%s', line => expect(isNoise(line)).toBe(true));
});

describe('kept', () => {
  test.each([
    '2026-01-02 03:04:05.678901: E tensorflow/core/framework/op_kernel.cc:1] OOM when allocating tensor',
    'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
    'terminate called after throwing an instance of std::bad_alloc',
    'Error: I am no note',
  ])('%s', line => expect(isNoise(line)).toBe(false));
});
