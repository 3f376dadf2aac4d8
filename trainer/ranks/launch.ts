/** Starts the processes of a run on this machine with the mpiexec of the MPI that was found. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inheritedEnvironment } from '../engine/inherited-environment.ts';
import type { FoundMpi } from '../engine/mpi/find-mpi.ts';
import { WORKER_FLAGS, workerEnvironment } from '../engine/tensorflow/environment.ts';
import { proxyEnvironment } from '../worker/proxy-environment.ts';
import { RANK_SOCKET } from './rank-channel.ts';

export interface LaunchParams {
  readonly mpi: FoundMpi;
  readonly processes: number;
  /** Threads per operation of each process. */
  readonly threads: number;
  /** The path of the supervisor's socket. */
  readonly socket: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** The bundle next to this one. */
const WORKER_FILE = fileURLToPath(new URL('./worker.js', import.meta.url));

/** Open MPI binds each process to one core and refuses more processes than cores, or to run as root; MPICH does neither. */
const OPEN_MPI_ARGUMENTS = ['--bind-to', 'none', '--oversubscribe', '--allow-run-as-root'];

export function launchRanks({ mpi, processes, threads, socket, environment }: LaunchParams): ChildProcess {
  const own = /libmpi\.so\.40/.test(mpi.library) ? OPEN_MPI_ARGUMENTS : [];
  return spawn(mpi.launcher, [...own, '-n', String(processes), process.execPath, ...WORKER_FLAGS, WORKER_FILE], {
    env: {
      ...proxyEnvironment(environment),
      ...inheritedEnvironment(environment).env,
      ...workerEnvironment({ threads }),
      [RANK_SOCKET]: socket,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
