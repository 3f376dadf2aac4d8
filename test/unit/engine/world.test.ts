/** Tests a process's rank and world size, from launchers' variables as seen in their processes. */
import { expect, test } from 'vitest';
import { findWorld } from '../../../trainer/engine/mpi/world.ts';

const SRUN = { SLURM_PROCID: '5', SLURM_STEP_NUM_TASKS: '6', SLURM_LOCALID: '1', SLURM_STEP_TASKS_PER_NODE: '2(x3)' };

const torchrun = (localSize: number) => ({
  RANK: '1',
  WORLD_SIZE: '2',
  LOCAL_RANK: String(localSize - 1),
  LOCAL_WORLD_SIZE: String(localSize),
});
const OF_TORCHRUN = { rank: 1, size: 2, launcher: 'torchrun', mpi: undefined };

test.each([
  {
    title: 'mpiexec of MPICH',
    environment: { PMI_RANK: '1', PMI_SIZE: '4', MPI_LOCALRANKID: '1', MPI_LOCALNRANKS: '2' },
    world: { rank: 1, size: 4, localRank: 1, localSize: 2, launcher: 'MPICH (mpiexec)', mpi: 'MPICH' },
  },
  {
    title: 'srun --mpi=pmi2, whose local variables are those of Slurm',
    environment: { ...SRUN, PMI_RANK: '5', PMI_SIZE: '6', PMI_FD: '17' },
    world: { rank: 5, size: 6, localRank: 1, localSize: 2, launcher: 'Slurm (srun)', mpi: 'MPICH' },
  },
  {
    title: 'srun --mpi=pmix',
    environment: { ...SRUN, PMIX_RANK: '5' },
    world: { rank: 5, size: 6, localRank: 1, localSize: 2, launcher: 'Slurm (srun)', mpi: 'Open MPI' },
  },
  {
    title: "mpiexec in a Slurm job, whose own step is that of the launcher's helpers",
    environment: { SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '2', PMI_RANK: '3', PMI_SIZE: '4', MPI_LOCALRANKID: '1', MPI_LOCALNRANKS: '2' },
    world: { rank: 3, size: 4, localRank: 1, localSize: 2, launcher: 'MPICH (mpiexec)', mpi: 'MPICH' },
  },
  {
    title: 'mpirun of Open MPI',
    environment: {
      ...{ OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_RANK: '0', OMPI_COMM_WORLD_LOCAL_SIZE: '2' },
      SLURM_PROCID: '0',
    },
    world: { rank: 0, size: 2, localRank: 0, localSize: 2, launcher: 'Open MPI (mpirun)', mpi: 'Open MPI' },
  },
  {
    title: 'torchrun on one machine, whose ports follow that of its store',
    environment: { ...torchrun(2), MASTER_ADDR: 'localhost', MASTER_PORT: '29500' },
    world: { ...OF_TORCHRUN, localRank: 1, localSize: 2, addresses: ['127.0.0.1:29501', '127.0.0.1:29502'] },
  },
  {
    title: 'torchrun whose port is the last but one',
    environment: { ...torchrun(2), MASTER_PORT: '65534' },
    world: { ...OF_TORCHRUN, localRank: 1, localSize: 2, addresses: ['127.0.0.1:65532', '127.0.0.1:65533'] },
  },
  {
    title: 'torchrun on two machines, which says where one of them is',
    environment: { ...torchrun(1), MASTER_ADDR: 'a', MASTER_PORT: '29500' },
    world: { ...OF_TORCHRUN, localRank: 0, localSize: 1 },
  },
  {
    title: 'torchrun on two machines, with a list of all',
    environment: { ...torchrun(1), MASTER_PORT: '29500', TF_CONFIG: '{"cluster": {"worker": ["a:7", "b:7"]}}' },
    world: { ...OF_TORCHRUN, localRank: 0, localSize: 1, addresses: ['a:7', 'b:7'] },
  },
  {
    title: 'torchrun with a list of other processes',
    environment: { ...torchrun(1), TF_CONFIG: '{"cluster": {"worker": ["a:7", "b:7", "c:7"]}}' },
    world: { ...OF_TORCHRUN, localRank: 0, localSize: 1 },
  },
  {
    title: 'TF_CONFIG, whose chief is the first',
    environment: { TF_CONFIG: '{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 1}}' },
    world: { rank: 2, size: 3, localRank: 0, localSize: 1, launcher: 'TF_CONFIG', mpi: undefined, addresses: ['a:1', 'b:1', 'c:1'] },
  },
  { title: 'a batch script of Slurm', environment: { SLURM_PROCID: '0', SLURM_NTASKS: '4' }, world: undefined },
  { title: 'a single task of srun', environment: { SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '1' }, world: undefined },
  { title: 'a rank beyond the size', environment: { RANK: '4', WORLD_SIZE: '4' }, world: undefined },
  { title: 'a broken TF_CONFIG', environment: { TF_CONFIG: '{"cluster": 3' }, world: undefined },
])('$title', ({ environment, world }) => {
  expect(findWorld(environment)).toEqual(world);
});
