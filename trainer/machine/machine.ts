/** Facts about the machine: CPU, memory, disk. No assessment. */
import { existsSync, readdirSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { groupMemory, type ReadText, readTextOrEmpty } from './control-group.ts';

/** Instruction sets that determine the speed of matrix products, best last. */
const CPU_FEATURES = { avx2: 'AVX2', avx512f: 'AVX512', avx512_bf16: 'AVX512-BF16', amx_bf16: 'AMX', asimd: 'NEON', sve: 'SVE' };

export interface Machine {
  readonly cpu: { readonly model: string; readonly cores: number; readonly features: readonly string[] };
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
}

/** Returns the features of `CPU_FEATURES` that the text of /proc/cpuinfo names. */
export function parseCpuFeatures(cpuinfo: string): string[] {
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/));
  return Object.entries(CPU_FEATURES).flatMap(([flag, name]) => (flags.has(flag) ? [name] : []));
}

/** Returns the bytes still available to programs, from the text of /proc/meminfo; cached pages count as free. */
export function parseAvailableMemory(meminfo: string): number | undefined {
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

export const cpuFeatures = (): string[] => parseCpuFeatures(readTextOrEmpty('/proc/cpuinfo'));

/** Returns the available memory of the machine, or of our control group if that is less: exceeding its limit is fatal. */
export const availableMemoryBytes = (readText: ReadText = readTextOrEmpty): number =>
  Math.min(parseAvailableMemory(readText('/proc/meminfo')) ?? os.freemem(), groupMemory(readText).availableBytes);

/** Returns the physical memory of the machine, regardless of our control group's limit. */
export const physicalMemoryBytes = (): number => os.totalmem();

export const totalMemoryBytes = (readText: ReadText = readTextOrEmpty): number =>
  Math.min(physicalMemoryBytes(), groupMemory(readText).limitBytes);

export function describeMachine(): Machine {
  const processors = os.cpus();
  return {
    cpu: { model: processors[0]?.model.trim() ?? 'unknown', cores: os.availableParallelism(), features: cpuFeatures() },
    memory: { totalBytes: totalMemoryBytes(), availableBytes: availableMemoryBytes() },
  };
}

/** Returns the bytes free to this user on the disk of `folder`, or of its nearest existing parent. */
export function freeDiskBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    const parent = path.dirname(folder);
    return parent === folder ? 0 : freeDiskBytes(parent);
  }
}

/** File system numbers of Linux's tmpfs and ramfs, as returned by statfs. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x01021994, 0x858458f6];

/** Returns whether the folder is in memory rather than on a disk. */
export const isInMemory = (folder: string): boolean => MEMORY_FILE_SYSTEMS.includes(statfsSync(folder).type >>> 0);

/** Share of free memory that a run may use; the rest is for the system and other programs. */
export const USABLE_SHARE = 0.5;

/**
 * Returns whether there is a GPU that the CUDA build could use. Checks the driver's files, which is fast enough for an editor to do while
 * you type.
 */
export const hasGpu = (files: readonly string[] = NVIDIA_DRIVER_FILES): boolean => files.some(file => existsSync(file));

/** Files of the NVIDIA driver, and of its Windows counterpart in the Windows Subsystem for Linux. */
const NVIDIA_DRIVER_FILES = ['/proc/driver/nvidia/version', '/usr/lib/wsl/lib/libcuda.so.1'];

const GPU_FOLDER = '/proc/driver/nvidia/gpus';

/**
 * Returns the name of the first NVIDIA GPU according to the driver's files, for example "NVIDIA GeForce RTX 4090"; undefined if they name
 * none.
 */
export function gpuName(folder = GPU_FOLDER): string | undefined {
  const [first] = existsSync(folder) ? readdirSync(folder).sort() : [];
  if (first === undefined) return undefined;
  return /^Model:\s*(.+?)\s*$/m.exec(readTextOrEmpty(path.join(folder, first, 'information')))?.[1];
}
