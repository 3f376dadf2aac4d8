/** Starts the processes of a run on this machine, with the mpiexec of the MPI that was found, or directly. */
import { type ChildProcess, spawn } from 'node:child_process';
import net from 'node:net';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { inheritedEnvironment } from '../engine/inherited-environment.ts';
import type { FoundMpi } from '../engine/mpi/find-mpi.ts';
import { WORKER_FLAGS, workerEnvironment } from '../engine/tensorflow/environment.ts';
import { onLines } from '../machine/bounded-lines.ts';
import { proxyEnvironment } from '../worker/proxy-environment.ts';
import { isNoise } from '../worker/worker-noise.ts';
import { RANK_SOCKET } from './rank-channel.ts';

export interface StartParams {
  readonly processes: number;
  /** Threads per operation in each process. */
  readonly threads: number;
  /** The path of the supervisor's socket. */
  readonly socket: string;
  readonly environment: NodeJS.ProcessEnv;
}

export interface LaunchParams extends StartParams {
  readonly mpi: FoundMpi;
}

/** A handle to the started processes. */
export interface Launcher {
  /** Resolves when all processes have ended, or when one has failed. */
  readonly ended: Promise<void>;
  kill(): void;
}

/** The worker's bundle, next to this one. */
const WORKER_FILE = fileURLToPath(new URL('./worker.js', import.meta.url));
const WORKER = [...WORKER_FLAGS, WORKER_FILE];

/** Makes the Hydra launcher of MPICH report each process's exit status: its closing message ORs all of them into one number. */
const HYDRA_ARGUMENTS = ['-print-all-exitcodes'];

/** Options against Open MPI's defaults: it binds each process to one core, and refuses more processes than cores and to run as root. */
const OPEN_MPI_ARGUMENTS = ['--bind-to', 'none', '--oversubscribe', '--allow-run-as-root'];

const environmentOf = ({ threads, socket, environment }: StartParams): NodeJS.ProcessEnv => ({
  ...proxyEnvironment(environment),
  ...inheritedEnvironment(environment).env,
  ...workerEnvironment({ threads }),
  [RANK_SOCKET]: socket,
});

/** Starts the ranks with mpiexec. @param onLine receives the output of the launcher and its processes */
export function launchRanks(params: LaunchParams, onLine: (line: string) => void): Launcher {
  const { mpi, processes } = params;
  const own = /libmpi\.so\.40/.test(mpi.library) ? OPEN_MPI_ARGUMENTS : mpi.isHydra ? HYDRA_ARGUMENTS : [];
  const child = spawn(mpi.launcher, [...own, '-n', String(processes), process.execPath, ...WORKER], {
    env: environmentOf(params),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { ended: endOf(child, onLine).then(() => undefined), kill: () => void child.kill('SIGKILL') };
}

/** Starts each process directly, for a transport that needs no launcher; the variables that identify a rank are torchrun's. */
export function startRanks(params: StartParams, onLine: (line: string) => void): Launcher {
  const { processes } = params;
  const children = Array.from({ length: processes }, (_, rank) =>
    spawn(process.execPath, WORKER, {
      env: {
        ...environmentOf(params),
        RANK: String(rank),
        WORLD_SIZE: String(processes),
        LOCAL_RANK: String(rank),
        LOCAL_WORLD_SIZE: String(processes),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const ends = children.map(async (child, rank) => {
    const { status, signal } = await endOf(child, onLine);
    if (signal !== null) onLine(`rank ${rank} was ended by signal ${os.constants.signals[signal]}`);
    if (status !== 0) throw new Error(`rank ${rank} has ended`);
  });
  return {
    ended: Promise.all(ends).then(
      () => undefined,
      () => undefined,
    ),
    kill: () => {
      for (const child of children) child.kill('SIGKILL');
    },
  };
}

interface End {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

function endOf(child: ChildProcess, onLine: (line: string) => void): Promise<End> {
  for (const stream of [child.stdout, child.stderr]) if (stream) onLines(stream, line => !isNoise(line) && onLine(line));
  return new Promise(resolve => {
    child.on('error', error => {
      onLine(error.message);
      resolve({ status: null, signal: null });
    });
    child.on('close', (status, signal) => resolve({ status, signal }));
  });
}

/** Returns free ports of this machine, one for each process. */
export async function freeAddresses(count: number): Promise<string[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer();
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  // All at the same time, so that none is returned twice.
  return Promise.all(
    servers.map(async server => {
      const address = server.address();
      await new Promise(resolve => server.close(resolve));
      if (address === null || typeof address === 'string') throw new TypeError('a server without a port');
      return `127.0.0.1:${address.port}`;
    }),
  );
}
