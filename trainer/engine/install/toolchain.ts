/** Finds the tools that build the TensorFlow engine: Python with pip, a C++ compiler, npm; and looks for an NVIDIA GPU. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { type CommandResult, runCommand } from './run-command.ts';

/** The first pip that supports `manylinux_2_27` tags is 20.3 (PEP 600). */
const OLDEST_PIP = [20, 3] as const;
const OLDEST_PYTHON = [3, 8] as const;

const MEANWHILE = 'The portable engine works without it meanwhile (engine: portable).';

export interface Python {
  readonly command: string;
  readonly pythonVersion: string;
  readonly pipVersion: string;
}

/** Returns true if the dotted version `version` is at least `oldest`. */
export function isAtLeast(version: string, oldest: readonly [major: number, minor: number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(part => Number.parseInt(part, 10) || 0);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}

/** Finds Python 3 with pip, or returns the reason why there is none. */
export async function findPython(): Promise<Python | { readonly missing: string }> {
  let missing = 'python3 was not found';
  for (const command of ['python3', 'python']) {
    const python = await runCommand(command, ['-c', 'import sys; print(sys.version.split()[0])']);
    const version = python.output.trim();
    if (python.status !== 0 || !isAtLeast(version, [3, 0])) continue;
    if (!isAtLeast(version, OLDEST_PYTHON)) {
      missing = `${command} is Python ${version}, which is too old (${OLDEST_PYTHON.join('.')} or later is needed)`;
      continue;
    }
    const pip = await runCommand(command, ['-m', 'pip', '--version']);
    const pipVersion = /^pip (\S+)/.exec(pip.output)?.[1];
    if (!pipVersion) missing = `${command} is there but has no pip`;
    else if (!isAtLeast(pipVersion, OLDEST_PIP)) missing = `pip ${pipVersion} is too old (${OLDEST_PIP.join('.')} or later is needed)`;
    else return { command, pythonVersion: version, pipVersion };
  }
  return { missing };
}

/** Finds Python 3 with pip. @throws EngineError that names the package to install */
export async function requirePython(): Promise<Python> {
  const found = await findPython();
  if ('missing' in found)
    throw new EngineError(
      `${found.missing}. Install it: sudo apt install python3 python3-pip (Debian, Ubuntu) or sudo dnf install python3-pip (Fedora). ${MEANWHILE}`,
    );
  return found;
}

/** Returns the first line of `g++ --version`; undefined without a compiler. */
export async function findCompiler(): Promise<string | undefined> {
  const found = await runCommand('g++', ['--version']);
  return found.status === 0 ? found.output.split('\n')[0] : undefined;
}

/** Finds the compiler. @throws EngineError that names the package to install */
export async function requireCompiler(): Promise<string> {
  const found = await findCompiler();
  if (!found)
    throw new EngineError(
      `g++ was not found. Install it: sudo apt install g++ (Debian, Ubuntu) or sudo dnf install gcc-c++ (Fedora). ${MEANWHILE}`,
    );
  return found;
}

/** Returns how to start npm: the script next to the running Node, where every distribution of Node puts it, or `npm` on the path. */
export async function findNpm(nodePath: string = process.execPath): Promise<{ program: string; prefix: string[] }> {
  const root = path.dirname(path.dirname(nodePath));
  const siblings = ['lib/node_modules', 'share/nodejs', 'share'].map(folder => path.join(root, folder, 'npm', 'bin', 'npm-cli.js'));
  const script = [...siblings, process.env.npm_execpath ?? ''].find(file => file.endsWith('npm-cli.js') && existsSync(file));
  if (script) return { program: nodePath, prefix: [script] };
  const onPath = await runCommand('npm', ['--version']);
  if (onPath.status === 0) return { program: 'npm', prefix: [] };
  throw new EngineError(`npm was not found next to ${nodePath} or on the path. Install it: sudo apt install npm. ${MEANWHILE}`);
}

export interface NvidiaGpu {
  readonly name: string;
  readonly driver: string;
  /** Free memory of the GPU, if the driver reports it. */
  readonly freeBytes?: number;
  /** Compute capability, for example "9.0"; omitted if the driver does not report it. */
  readonly capability?: string;
}

let lastFound: Promise<NvidiaGpu | undefined> | undefined;

/** Returns the name and driver of the first NVIDIA GPU; undefined without one. */
export function findNvidiaGpu(): Promise<NvidiaGpu | undefined> {
  lastFound = askForGpu();
  return lastFound;
}

/** Returns the last result: GPUs rarely change, and querying starts a program. */
export const knownNvidiaGpu = (): Promise<NvidiaGpu | undefined> => lastFound ?? findNvidiaGpu();

/** The driver's own file, which exists even without nvidia-smi. */
const DRIVER_FILE = '/proc/driver/nvidia/version';

/** A stuck driver never answers; one that is not loaded yet takes a few seconds per GPU. */
const DRIVER_MS = 30_000;

const askDriver = (fields: string): Promise<CommandResult> =>
  runCommand('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'], { timeoutMs: DRIVER_MS });

async function askForGpu(): Promise<NvidiaGpu | undefined> {
  const facts = 'name,driver_version,memory.free';
  const asked = await askDriver(`${facts},compute_cap`);
  // Drivers before 510 do not know the last field, and reject the whole query. Without an answer there is no second query.
  return (
    gpuOf(asked.status > 0 ? await askDriver(facts) : asked) ??
    gpuOfDriver(existsSync(DRIVER_FILE) ? readFileSync(DRIVER_FILE, 'utf8') : '')
  );
}

/**
 * Returns the free bytes of the machine's NVIDIA GPU; undefined if the driver does not report them, or there are several GPUs.
 * @param name name of the engine's GPU according to its driver: another vendor's, or a part of one (MIG), has separate memory
 */
export const freeOnOnlyGpu = async (name: string): Promise<number | undefined> => freeOf(await askDriver('name,memory.free'), name);

export function freeOf({ status, output }: CommandResult, name: string): number | undefined {
  const [, found, mib] = /^(.+), *(\d+)\s*$/.exec(output) ?? [];
  return status === 0 && found?.trim() === name.trim() ? Number(mib) * 2 ** 20 : undefined;
}

/** Returns the first GPU that nvidia-smi lists; undefined if it lists none. */
export function gpuOf({ status, output }: CommandResult): NvidiaGpu | undefined {
  const [name, driver, freeMib, capability] = (output.split('\n')[0] ?? '').split(',').map(text => text.trim());
  if (status !== 0 || !name || !driver) return undefined;
  const isCapability = capability !== undefined && /^\d+\.\d+$/.test(capability);
  return { name, driver, freeBytes: Number(freeMib) * 2 ** 20 || undefined, ...(isCapability && { capability }) };
}

/**
 * Returns the GPU of a driver whose file contains, for example, "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06
 * Release Build".
 */
export const gpuOfDriver = (text: string): NvidiaGpu | undefined =>
  text === '' ? undefined : { name: 'NVIDIA GPU', driver: /\b\d{3}\.\d+(?:\.\d+)?\b/.exec(text)?.[0] ?? 'unknown' };

/** Checks the platform. @throws EngineError if this engine cannot be built on it */
export function requirePlatform(platform: string = process.platform, arch: string = process.arch): void {
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64'))
    throw new EngineError(
      `the tensorflow engine runs on Linux (x64, arm64), not on ${platform} ${arch}. Use engine: portable, which runs on any GPU through WebGPU.`,
    );
}
