/** Tests the devices that runs of a sweep with several processes share. */
import { expect, test } from 'vitest';
import { GpuShares } from '../../../trainer/sweep/gpu-shares.ts';
import { runsByDevices } from '../../../trainer/sweep/plan-parallel.ts';

test.each([
  { processes: 1, cores: 8, gpus: 0, runs: 4 },
  { processes: 4, cores: 8, gpus: 0, runs: 2 },
  { processes: 16, cores: 8, gpus: 0, runs: 1 },
  { processes: 1, cores: 8, gpus: 1, runs: 4 },
  { processes: 2, cores: 8, gpus: 1, runs: 2 },
  { processes: 2, cores: 8, gpus: 4, runs: 8 },
  { processes: 32, cores: 8, gpus: 4, runs: 1 },
])('$processes processes on $cores cores and $gpus GPUs: $runs runs at a time', ({ processes, cores, gpus, runs }) => {
  expect(runsByDevices(processes, { cores, gpus })).toBe(runs);
});

test('each run gets the GPUs that the fewest others use, and gives them back', () => {
  const shares = new GpuShares(['0', '1', '2', '3']);
  const first = shares.take(2);
  expect([first, shares.take(1), shares.take(2)]).toEqual([['0', '1'], ['2'], ['3', '0']]);
  shares.giveBack(first);
  expect(shares.take(1)).toEqual(['1']);
  // If a run has more processes than devices, it gets all devices.
  expect(shares.take(9)).toHaveLength(4);
});

test('one GPU leaves nothing to choose, nor does none', () => {
  expect(new GpuShares(['0']).take(2)).toBeUndefined();
  expect(new GpuShares([]).take(1)).toBeUndefined();
});
