/** Tests the GPU memory in the metrics of a run. */
import { expect, test } from 'vitest';
import { gpuMetrics } from '../../../trainer/job/gpu-metrics.ts';

test("is what the device's allocator counts, as far as it does", () => {
  const of = (device: 'cpu' | 'gpu', found?: { readonly used: number; readonly peak?: number }) =>
    gpuMetrics({ description: { device }, deviceMemory: () => found });
  expect(of('gpu', { used: 5, peak: 9 })).toEqual({ gpu_memory_bytes: 5, gpu_memory_peak_bytes: 9 });
  expect(of('gpu', { used: 5 })).toEqual({ gpu_memory_bytes: 5 });
  expect(of('gpu')).toEqual({});
  expect(of('cpu', { used: 5, peak: 9 })).toEqual({});
  expect(gpuMetrics({ description: { device: 'gpu' } })).toEqual({});
});
