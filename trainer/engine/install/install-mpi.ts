/** Installs MPI on machines that have none: MPICH from its Python wheel. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { enginesFolder } from './engine-folder.ts';
import { withInstallLock } from './install-lock.ts';
import type { InstallParams } from './install-tensorflow.ts';
import { requirePython } from './toolchain.ts';
import { fetchKnownWheel } from './wheel.ts';

const VERSION = '5.0.2';
const NAME = `mpich-${VERSION}`;
const ROOT = `mpich-${VERSION}.data/data`;

/** Checksums of the wheels, so that no other file is ever loaded. */
const SHA256: Readonly<Record<string, string>> = {
  'linux x64': '8fed465ebff269ea2ebac179a25de02671ddf8df476e0f115be089015015cfd4',
};

const LAUNCHER = 'bin/mpiexec';
const PROGRAMS = [LAUNCHER, 'bin/hydra_pmi_proxy'];
const LIBRARY = 'lib/libmpi.so.12';
/** Libraries for InfiniBand and other cluster networks are not installed: a cluster has its own MPI. */
const LIBRARIES = [
  LIBRARY,
  ...['libfabric.so.1', 'libucm.so.0', 'libucp.so.0', 'libucs.so.0', 'libucs_signal.so.0', 'libuct.so.0', 'ucx/libuct_cma.so.0'].map(
    name => `lib/mpich/${name}`,
  ),
];

const folderOf = (cacheDir: string): string => path.join(enginesFolder(cacheDir), NAME);

/** Returns the paths; undefined if MPICH is not installed. */
export function locateMpich(cacheDir: string): { readonly launcher: string; readonly library: string } | undefined {
  const at = (file: string): string => path.join(folderOf(cacheDir), ROOT, file);
  const [launcher, library] = [at(LAUNCHER), at(LIBRARY)];
  return existsSync(launcher) && existsSync(library) ? { launcher, library } : undefined;
}

/**
 * Installs into `<cacheDir>/engines/mpich-<version>/`; returns immediately if it is already installed.
 * @throws EngineError if there is no wheel for this machine, the download fails, or the file is not the expected one
 */
export async function installMpi({
  cacheDir,
  log,
  onProgress = () => {},
}: Omit<InstallParams, 'variant'>): Promise<{ readonly name: string; readonly folder: string }> {
  const expected = SHA256[`${process.platform} ${process.arch}`];
  if (expected === undefined)
    throw new EngineError(
      `there is no tested MPI for ${process.platform} ${process.arch}; install MPICH or Open MPI with the system's package manager`,
    );
  mkdirSync(enginesFolder(cacheDir), { recursive: true });
  return withInstallLock(path.join(enginesFolder(cacheDir), '.install.lock'), log, async () => {
    const folder = folderOf(cacheDir);
    if (locateMpich(cacheDir)) {
      log(`${NAME} is installed already in ${folder}`);
      return { name: NAME, folder };
    }
    const context = { python: await requirePython(), downloads: path.join(cacheDir, 'downloads'), log, onProgress };
    const partial = path.join(enginesFolder(cacheDir), `.${NAME}.partial`);
    rmSync(partial, { recursive: true, force: true });
    const wanted = [...PROGRAMS, ...LIBRARIES].map(file => `${ROOT}/${file}`);
    const wheel = await fetchKnownWheel(context, { requirement: `mpich==${VERSION}`, sha256: expected }, partial, 'plugin', wanted);
    for (const program of PROGRAMS) chmodSync(path.join(partial, ROOT, program), 0o755);
    rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
    rmSync(wheel, { force: true });
    log(`installed ${NAME} in ${folder}`);
    return { name: NAME, folder };
  });
}
