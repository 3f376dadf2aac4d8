/** This process's place among those that a launcher started, from the launcher's environment variables. */
import { z } from 'zod';

export interface World {
  readonly rank: number;
  readonly size: number;
  /** Index among the `localSize` processes of its machine. */
  readonly localRank: number;
  readonly localSize: number;
  /** Name of the launcher, for messages. */
  readonly launcher: string;
  /** The MPI library that can connect the processes; undefined if the launcher provides nothing that MPI could use. */
  readonly mpi: 'MPICH' | 'Open MPI' | undefined;
  /** Host and port of every process, if the launcher provides them or they can be derived. */
  readonly addresses?: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Launcher extends Pick<World, 'launcher' | 'mpi'> {
  readonly rank: string;
  readonly size: string;
  readonly localRank: string;
  readonly localSize: string;
  readonly addressesOf?: (environment: Environment, place: Pick<World, 'size' | 'localSize'>) => readonly string[] | undefined;
}

const SLURM: Launcher = {
  launcher: 'Slurm (srun)',
  mpi: 'MPICH',
  rank: 'SLURM_PROCID',
  // Set in the tasks of srun, not in a batch script.
  size: 'SLURM_STEP_NUM_TASKS',
  localRank: 'SLURM_LOCALID',
  localSize: 'SLURM_STEP_TASKS_PER_NODE',
};

/** Launchers in lookup order: mpirun inside a Slurm job sets both kinds of variables. */
const LAUNCHERS: readonly Launcher[] = [
  {
    launcher: 'Open MPI (mpirun)',
    mpi: 'Open MPI',
    rank: 'OMPI_COMM_WORLD_RANK',
    size: 'OMPI_COMM_WORLD_SIZE',
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
    localSize: 'OMPI_COMM_WORLD_LOCAL_SIZE',
  },
  {
    launcher: 'MPICH (mpiexec)',
    mpi: 'MPICH',
    rank: 'PMI_RANK',
    size: 'PMI_SIZE',
    localRank: 'MPI_LOCALRANKID',
    localSize: 'MPI_LOCALNRANKS',
  },
  SLURM,
  {
    launcher: 'torchrun',
    mpi: undefined,
    rank: 'RANK',
    size: 'WORLD_SIZE',
    localRank: 'LOCAL_RANK',
    localSize: 'LOCAL_WORLD_SIZE',
    addressesOf: addressesOfTorchrun,
  },
];

/** Returns the process's place; undefined for a process that runs alone. */
export function findWorld(environment: Environment): World | undefined {
  for (const { mpi, ...names } of LAUNCHERS) {
    const [rank, size] = [countOf(environment[names.rank]), countOf(environment[names.size])];
    if (rank === undefined || size === undefined || size < 2 || rank >= size) continue;
    // srun also sets MPICH's variables (--mpi=pmi2), but not the local ones; Open MPI uses PMIx.
    const isSlurm = countOf(environment[SLURM.rank]) === rank && countOf(environment[SLURM.size]) === size;
    const { launcher, addressesOf, ...local } = isSlurm ? SLURM : names;
    const localSize = Math.max(1, countOf(environment[local.localSize]) ?? 1);
    const localRank = countOf(environment[local.localRank]) ?? 0;
    const addresses = addressesOf?.(environment, { size, localSize });
    const family = isSlurm && environment.PMIX_RANK !== undefined ? 'Open MPI' : mpi;
    return { rank, size, localRank, localSize, launcher, mpi: family, ...(addresses && { addresses }) };
  }
  return fromTensorflow(environment.TF_CONFIG);
}

/** Parses a count. Slurm writes "2(x3)" for two tasks on each of three nodes: the first number is used. */
function countOf(text: string | undefined): number | undefined {
  const digits = /^\d+/.exec(text ?? '')?.[0];
  return digits === undefined ? undefined : Number(digits);
}

const tensorflowConfig = z.object({
  cluster: z.object({ chief: z.array(z.string()).default([]), worker: z.array(z.string()).default([]) }),
  task: z.object({ type: z.string(), index: z.int().nonnegative() }).optional(),
});

function readTensorflowConfig(text: string | undefined): z.infer<typeof tensorflowConfig> | undefined {
  try {
    return tensorflowConfig.parse(JSON.parse(text ?? ''));
  } catch {
    return undefined;
  }
}

/** Reads the variable of Kubernetes' training operators: {"cluster": {"worker": [addresses]}, "task": {"type": "worker", "index": 1}}. */
function fromTensorflow(text: string | undefined): World | undefined {
  const { cluster, task } = readTensorflowConfig(text) ?? {};
  if (cluster === undefined || task === undefined) return undefined;
  const addresses = [...cluster.chief, ...cluster.worker];
  const rank = task.index + (task.type === 'worker' ? cluster.chief.length : 0);
  const size = addresses.length;
  return size < 2 ? undefined : { rank, size, localRank: 0, localSize: 1, launcher: 'TF_CONFIG', mpi: undefined, addresses };
}

const LAST_PORT = 65_535;

/**
 * Returns the addresses of all processes. On one machine, these are the ports after that of torchrun's own store, or before it at the end
 * of the range. For several machines, torchrun gives the address of only one, so the cluster in TF_CONFIG has to list all addresses, in
 * rank order.
 */
function addressesOfTorchrun(
  { TF_CONFIG, MASTER_PORT }: Environment,
  { size, localSize }: Pick<World, 'size' | 'localSize'>,
): readonly string[] | undefined {
  const { cluster } = readTensorflowConfig(TF_CONFIG) ?? {};
  const listed = cluster && [...cluster.chief, ...cluster.worker];
  if (listed?.length === size) return listed;
  const port = countOf(MASTER_PORT);
  if (localSize < size || port === undefined) return undefined;
  const first = port + size <= LAST_PORT ? port + 1 : port - size;
  return Array.from({ length: size }, (_, rank) => `127.0.0.1:${first + rank}`);
}

/** Returns true for variables that a launcher sets for its processes: a worker inherits them, because it calls MPI and chooses a GPU. */
export const isLauncherVariable = (name: string): boolean =>
  /^(?:(?:LOCAL_)?(?:RANK|WORLD_SIZE)$|(?:PMI|PMIX|PRTE|OMPI|OPAL|MPICH|MPIR|HYDI?|HYDRA|I_MPI|FI|UCX|SLURMD?)_|MPI_LOCAL)/.test(name);
