/** Finds this machine's MPI: the library that training calls, and the program that starts several processes. */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { toolCommand } from '../../catalog/tools.ts';
import { EngineError } from '../engine.ts';
import { locateMpich } from '../install/install-mpi.ts';
import type { World } from './world.ts';

export interface FoundMpi {
  /** The program that starts processes (mpiexec). */
  readonly launcher: string;
  readonly library: string;
  /** True if MPICH's own launcher, whose options are known, starts the processes. */
  readonly isHydra: boolean;
}

const MPI_ADVICE = `Install one with: ${toolCommand('mpi')}`;

/** Open MPI's library has its own ABI; the others share MPICH's. */
const LIBRARIES = { 'Open MPI': ['libmpi.so.40'], MPICH: ['libmpi.so.12', 'libmpich.so.12', 'libmpi_abi.so.1'] } as const;

type Environment = Readonly<Record<string, string | undefined>>;

const foldersOf = (list: string | undefined): string[] => (list ?? '').split(path.delimiter).filter(folder => folder !== '');

/** Returns the folders of system libraries, as Debian and Fedora name them. */
function libraryFolders(environment: Environment): string[] {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const prefixes = foldersOf(environment.PATH).flatMap(folder =>
    existsSync(path.join(folder, 'mpiexec')) ? [prefixOf(path.join(folder, 'mpiexec'))] : [],
  );
  const known = [...prefixes, '/usr', '/usr/local'].flatMap(prefix =>
    ['lib', 'lib64', `lib/${triplet}`].map(name => path.join(prefix, name)),
  );
  return [...foldersOf(environment.LD_LIBRARY_PATH), ...known];
}

/** Returns true for MPICH's own launcher. Launchers of other MPI libraries with MPICH's ABI have different options. */
function isHydra(launcher: string): boolean {
  const { stdout } = spawnSync(launcher, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return /HYDRA build details/.test(stdout ?? '');
}

/** Returns the folder that contains a program's bin folder, with links resolved. */
const prefixOf = (program: string): string => path.dirname(path.dirname(realpathSync(program)));

const findLibrary = (family: keyof typeof LIBRARIES, folders: readonly string[]): string | undefined =>
  LIBRARIES[family].flatMap(name => folders.map(folder => path.join(folder, name))).find(file => existsSync(file));

/** Finds the MPI that starts processes on this machine: the installed one, or the one on the path. @throws EngineError if there is none */
export function findMpi(cacheDir: string, environment: Environment): FoundMpi {
  const installed = locateMpich(cacheDir);
  if (installed) return { ...installed, isHydra: true };
  const libraries = libraryFolders(environment);
  for (const folder of foldersOf(environment.PATH)) {
    const launcher = path.join(folder, 'mpiexec');
    if (!existsSync(launcher)) continue;
    // Debian's alternatives are links: the name they resolve to shows whose mpiexec it is.
    const family = /ompi|openmpi|prte|orte/.test(realpathSync(launcher)) ? 'Open MPI' : 'MPICH';
    const library = findLibrary(family, libraries) ?? findLibrary('Open MPI', libraries);
    if (library !== undefined) return { launcher, library, isHydra: family === 'MPICH' && isHydra(launcher) };
  }
  throw new EngineError(`several processes need MPI, and no mpiexec with its library was found. ${MPI_ADVICE}`);
}

/** Finds the library for processes that a launcher has started. @throws EngineError if there is none for this launcher */
export function findMpiLibrary({ launcher, mpi, rank, size, localSize }: World, cacheDir: string, environment: Environment): string {
  if (mpi === undefined)
    throw new EngineError(
      `${launcher} started this process as rank ${rank} of ${size}, ${localSize} of them on this machine, but did not give the addresses of the others. List the addresses of all ${size} processes in the order of their ranks, in TF_CONFIG: {"cluster": {"worker": ["host:port", …]}}; or start them with mpirun or srun`,
    );
  const library = findLibrary(mpi, libraryFolders(environment)) ?? (mpi === 'MPICH' ? locateMpich(cacheDir)?.library : undefined);
  if (library !== undefined) return library;
  throw new EngineError(
    `${launcher} started this process, and no library of ${mpi} was found. ${mpi === 'MPICH' ? MPI_ADVICE : 'Load its module, or set LD_LIBRARY_PATH; MPICH is used with srun --mpi=pmi2'}`,
  );
}
