/** The report of `rowtune doctor`: the engine, the machine it runs on, and for each problem the command that fixes it. */

import { describeMachine, freeDiskBytes, type Machine } from '../machine/machine.ts';
import { chooseEngine, type EngineRequest } from './choose-engine.ts';
import { type EngineDescription, EngineError } from './engine.ts';
import { listEngines } from './install/engine-folder.ts';
import { choosePlugin, surroundings } from './install/find-device.ts';
import { importSharp } from './install/image-packages.ts';
import { installCommand, listPjrt, pjrtAddonIsCurrent } from './install/pjrt-folder.ts';
import type { PjrtVariant } from './install/pjrt-plugins.ts';
import { findCompiler, findNvidiaGpu, findPython, type NvidiaGpu } from './install/toolchain.ts';
import { measureMatmul } from './measure-matmul.ts';
import { openEngine } from './open-engine.ts';

export interface Diagnosis {
  readonly node: string;
  readonly platform: string;
  readonly machine: Machine;
  readonly gpu?: Pick<NvidiaGpu, 'name' | 'driver' | 'capability'>;
  /**
   * The accelerator, of any vendor, that a PJRT plugin supports, and the plugin that `rowtune engine install --variant pjrt` would install.
   */
  readonly accelerator?: { readonly variant: PjrtVariant; readonly found: string };
  readonly disk: { readonly folder: string; readonly freeBytes: number };
  readonly python?: string;
  readonly compiler?: string;
  /** The library that decodes images, with its version; undefined if it is missing or does not load. */
  readonly images?: string;
  readonly installedEngines: readonly string[];
  readonly installedPlugins: readonly InstalledPlugin[];
  /** Environment variables that would have had an effect and that no worker inherits. */
  readonly clearedVariables: readonly string[];
  /** The engine that would run, after opening it; undefined if none opens. */
  readonly engine?: EngineDescription & { readonly matmulGflops: number };
  readonly problems: readonly EngineProblem[];
}

export interface InstalledPlugin {
  readonly name: string;
  /** True if its addon belongs to this version of Rowtune. */
  readonly isCurrent: boolean;
  /** Command that compiles the addon again. */
  readonly repair: string;
}

export interface EngineProblem {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** A command to run, or the setting to change. */
  readonly remedy: string;
}

/** Lowest single-core rate of a CPU of the last ten years with a working vector unit. */
const SLOW_CPU_GFLOPS = 15;
/** Disk space for an engine, a small model and a checkpoint. */
const LOW_DISK_BYTES = 4e9;
const OLDEST_NODE = '20.15';

/**
 * Examines everything once. Opens the engine in this process, so it belongs in a worker started with `workerEnvironment`. Never throws for
 * a broken engine: that becomes a problem in the list.
 */
export async function diagnose(request: EngineRequest & { readonly clearedVariables?: readonly string[] }): Promise<Diagnosis> {
  const [python, compiler, gpu] = await Promise.all([findPython(), findCompiler(), findNvidiaGpu()]);
  const opened = await tryEngine(request);
  const facts = {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    machine: describeMachine(),
    gpu,
    accelerator: await acceleratorHere(),
    disk: { folder: request.cacheDir, freeBytes: freeDiskBytes(request.cacheDir) },
    python: 'missing' in python ? undefined : `${python.pythonVersion}, pip ${python.pipVersion}`,
    compiler,
    images: await imageLibraryHere(request.cacheDir),
    installedEngines: listEngines(request.cacheDir).map(engine => engine.name),
    installedPlugins: listPjrt(request.cacheDir).map(installed => ({
      name: installed.name,
      isCurrent: pjrtAddonIsCurrent(installed.folder),
      repair: installCommand(installed),
    })),
    clearedVariables: request.clearedVariables ?? [],
    engine: opened.engine,
  };
  const pythonMissing = 'missing' in python ? python.missing : undefined;
  return { ...facts, problems: [...opened.problems, ...findProblems({ ...facts, pythonMissing, isFallback: opened.problems.length > 0 })] };
}

const imageLibraryHere = (cacheDir: string): Promise<string | undefined> =>
  importSharp(cacheDir).then(
    ({ versions }) => `sharp ${versions.sharp}, libvips ${versions.vips}`,
    () => undefined,
  );

/** Returns the accelerator; undefined if no plugin supports the hardware of this machine. */
async function acceleratorHere(): Promise<Diagnosis['accelerator']> {
  const around = await surroundings();
  try {
    return choosePlugin(around);
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error;
  }
}

async function tryEngine(request: EngineRequest): Promise<Pick<Diagnosis, 'engine' | 'problems'>> {
  try {
    const { name, warning, remedy = '' } = chooseEngine(request);
    const engine = await openEngine(name, { cacheDir: request.cacheDir });
    const description = { ...engine.description, matmulGflops: await measureMatmul(engine) };
    const problems: EngineProblem[] = warning ? [{ severity: 'warning', message: warning, remedy }] : [];
    return { engine: description, problems };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { problems: [{ severity: 'error', message: error.message, remedy: 'rowtune engine install' }] };
  }
}

type Facts = Omit<Diagnosis, 'problems'> & {
  readonly pythonMissing?: string;
  /** True if the engine replaces a faster one, which is reported separately. */
  readonly isFallback?: boolean;
};

/** Compares major and minor versions. */
function isOlder(version: string, oldest: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** Derives the problems from the facts; pure. */
export function findProblems({
  engine,
  gpu,
  node,
  disk,
  compiler,
  installedEngines,
  installedPlugins,
  platform,
  pythonMissing,
  isFallback,
}: Facts): EngineProblem[] {
  const problems: EngineProblem[] = [];
  const warn = (message: string, remedy: string) => problems.push({ severity: 'warning', message, remedy });
  if (isOlder(node, OLDEST_NODE))
    problems.push({
      severity: 'error',
      message: `Node ${node} is too old; ${OLDEST_NODE} or later is needed`,
      remedy: `install Node ${OLDEST_NODE} or later`,
    });
  if (gpu && engine?.name === 'tensorflow' && engine.device === 'cpu') {
    const hasCuda = installedEngines.some(name => name.endsWith('-cuda'));
    if (hasCuda)
      warn(
        `${gpu.name} (driver ${gpu.driver}) is there but TensorFlow cannot use it and computes on the CPU; CUDA 12 needs driver 525 or later`,
        'update the NVIDIA driver, then: nvidia-smi',
      );
    else warn(`${gpu.name} is there but the CPU build is installed`, 'rowtune engine install --variant cuda');
  }
  if (isFallback !== true && engine?.device === 'cpu' && engine.matmulGflops < SLOW_CPU_GFLOPS)
    warn(
      `matrix products run at ${engine.matmulGflops.toFixed(0)} GFLOP/s, which is slow for a CPU`,
      engine.name === 'portable' ? 'rowtune engine install' : 'end other programs that compute, then: rowtune doctor',
    );
  if (engine?.unfused) warn(`training takes longer than it could: ${engine.unfused}`, 'rowtune engine install');
  for (const { name, isCurrent, repair } of installedPlugins)
    if (!isCurrent) warn(`the addon of ${name} was compiled for another version of Rowtune`, repair);
  const canInstall = platform.startsWith('linux') && installedEngines.length === 0;
  if (canInstall && pythonMissing)
    warn(`the tensorflow engine cannot be installed: ${pythonMissing}`, 'sudo apt install python3 python3-pip');
  if (canInstall && !compiler) warn('the tensorflow engine cannot be installed: g++ was not found', 'sudo apt install g++');
  if (disk.freeBytes < LOW_DISK_BYTES)
    warn(
      `only ${(disk.freeBytes / 1e9).toFixed(1)} GB are free in ${disk.folder}`,
      `free some space, or set ROWTUNE_CACHE to another folder`,
    );
  return problems;
}
