/** The TensorFlow engine: finds the installed one, loads it into this process, compiles programs. */
import { readFileSync } from 'node:fs';
import { type Engine, type EngineDescription, EngineError } from '../engine.ts';
import { type InstalledEngine, locateEngine } from '../install/engine-folder.ts';
import { type Addon, loadAddon } from './addon.ts';
import { openSession } from './session.ts';

/**
 * Opens the engine in this process. Runs block the thread, so the process is to be a worker, started with `workerEnvironment`.
 * @throws EngineError when it is not installed or does not load
 */
export async function openTensorflow({ cacheDir }: { readonly cacheDir: string }): Promise<Engine> {
  const installed = locateEngine(cacheDir);
  if (!installed) throw new EngineError('the tensorflow engine is not installed; run: rowtune engine install');
  const addon = loadAddon(installed);
  return { description: describe(addon, installed), compile: async program => openSession(addon, program) };
}

/** Instruction sets that decide how fast a matrix product is, best last. */
const CPU_FEATURES = { avx2: 'AVX2', avx512f: 'AVX512', avx512_bf16: 'AVX512-BF16', amx_bf16: 'AMX', asimd: 'NEON', sve: 'SVE' };

/** The features among those that the text of /proc/cpuinfo names. */
export function cpuFeatures(cpuinfo: string): string[] {
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/));
  return Object.entries(CPU_FEATURES).flatMap(([flag, name]) => (flags.has(flag) ? [name] : []));
}

function describe(addon: Addon, { manifest }: InstalledEngine): EngineDescription {
  const onGpu = addon.isUsingGpuDevice();
  const features = cpuFeatures(readFileSync('/proc/cpuinfo', 'utf8'));
  const cpu = features.length > 0 ? `CPU (${features.join(', ')})` : 'CPU';
  const fallback = manifest.variant === 'cuda' ? `${cpu} although this is the CUDA build: no usable GPU was found` : cpu;
  return {
    name: 'tensorflow',
    summary: `TensorFlow ${addon.TF_Version}, ${onGpu ? 'CUDA GPU' : fallback}`,
    device: onGpu ? 'gpu' : 'cpu',
    versions: { tensorflow: addon.TF_Version, addon: manifest.addonPackage, node: process.versions.node },
  };
}
