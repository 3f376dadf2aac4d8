/** Tests which GPU each of several processes on a machine uses. */
import { expect, test } from 'vitest';
import { chooseRankGpu } from '../../../trainer/engine/mpi/rank-gpu.ts';
import { findWorld, type World } from '../../../trainer/engine/mpi/world.ts';

const of = (localRank: number, localSize: number): World => ({
  ...{ rank: 8 + localRank, size: 16, localRank, localSize },
  ...{ launcher: 'MPICH (mpiexec)', mpi: 'MPICH' },
});

test('each process takes the GPU of its place on the machine', () => {
  const chosen = [0, 1, 2, 3].map(localRank => chooseRankGpu(of(localRank, 4), {}, 4));
  expect(chosen.map(gpu => gpu?.visible)).toEqual(['0', '1', '2', '3']);
  expect(chosen[3]?.message).toBe('rank 11 uses GPU 3 of 4 (CUDA_VISIBLE_DEVICES is set to 3)');
});

test('more processes than GPUs share them', () => {
  const chosen = [0, 1, 2].map(localRank => chooseRankGpu(of(localRank, 3), {}, 2));
  expect(chosen.map(gpu => gpu?.visible)).toEqual(['0', '1', '0']);
  expect(chosen.map(gpu => /share/.test(gpu?.message ?? ''))).toEqual([true, false, true]);
  expect(chosen[2]?.message).toContain('uses GPU 0 of 2, which 2 processes share');
});

test('of the GPUs that are visible, each process takes its own', () => {
  const visible = { CUDA_VISIBLE_DEVICES: '2,GPU-8932f937' };
  expect([0, 1, 2].map(localRank => chooseRankGpu(of(localRank, 3), visible, 8)?.visible)).toEqual(['2', 'GPU-8932f937', '2']);
});

test.each([
  { title: 'the choice of a user or a launcher', world: of(1, 2), environment: { CUDA_VISIBLE_DEVICES: '3' }, gpus: 4 },
  { title: 'the choice of no GPU', world: of(1, 2), environment: { CUDA_VISIBLE_DEVICES: '' }, gpus: 4 },
  { title: 'one process on the machine', world: of(0, 1), environment: {}, gpus: 4 },
  { title: 'no GPU', world: of(1, 2), environment: {}, gpus: 0 },
])('nothing is chosen with $title', ({ world, environment, gpus }) => {
  expect(chooseRankGpu(world, environment, gpus)).toBeUndefined();
});

test('the place is found in the variables of srun', () => {
  const world = findWorld({ SLURM_PROCID: '6', SLURM_STEP_NUM_TASKS: '8', SLURM_LOCALID: '2', SLURM_STEP_TASKS_PER_NODE: '4(x2)' });
  expect(world && chooseRankGpu(world, {}, 4)?.visible).toBe('2');
});
