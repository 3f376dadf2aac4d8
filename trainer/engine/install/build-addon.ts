/** Compiles the binding's two sources, and our small one for the heap, against the libtensorflow that was installed with them. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { ADDON_HEADER } from './addon-header.ts';
import { resolveAddonSources, sourcesIn } from './addon-sources.ts';
import { ADDON_PACKAGE, addonPath, heapPath } from './engine-folder.ts';
import { HEAP_SOURCE } from './heap-source.ts';
import { KERNEL_FLAGS, kernelsPath, removeOldKernels } from './kernel-stamp.ts';
import { runCommand } from './run-command.ts';

/** Returns the TensorFlow headers that the addon's sources include; headers included by these are found from them. */
export function addonHeaders(): string[] {
  const { binding } = resolveAddonSources();
  const text = readdirSync(binding).map(file => readFileSync(path.join(binding, file), 'utf8'));
  return [...new Set([...text.join('\n').matchAll(/^#include "(tensorflow\/[^"]+)"/gm)].map(found => found[1] ?? ''))];
}

/**
 * Returns the folder in which wheels are unpacked, laid out as by pip: the CUDA build looks for `nvidia/<name>/lib` next to `tensorflow/`.
 */
export const runtimeFolder = (folder: string): string => path.join(folder, 'runtime');

/**
 * Builds both addons into the engine's folder.
 * @throws EngineError with the compiler's output
 */
export async function buildAddon(folder: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const { binding, nodeHeaders } = resolveAddonSources();
  const libraries = path.join(runtimeFolder(folder), 'tensorflow');
  const output = addonPath(folder);
  mkdirSync(path.dirname(output), { recursive: true });
  const header = path.join(folder, 'session-options.h');
  writeFileSync(header, ADDON_HEADER);
  const sources = readdirSync(binding).filter(file => file.endsWith('.cc'));
  const heapSource = path.join(folder, 'heap.cc');
  writeFileSync(heapSource, HEAP_SOURCE);
  const common = ['-std=c++17', '-O2', '-shared', '-fPIC', '-DNAPI_VERSION=8', '-I', nodeHeaders];
  await compile([...common, heapSource, '-o', heapPath(folder)], onTick);
  await compile(
    [
      ...[...common, '-include', header, '-o', output],
      ...sources.map(file => path.join(binding, file)),
      ...['-I', path.join(libraries, 'include')],
      ...linkedWith(folder),
    ],
    onTick,
  );
}

/**
 * Builds the kernels of fused steps next to the addon. They need the engine's libraries but no headers of it, so they can be rebuilt for
 * another version of Rowtune or another CPU without downloading anything.
 * @throws EngineError with the compiler's output
 */
export async function buildKernels(folder: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const { tensorflow, ranks, coder, nodeHeaders } = resolveAddonSources();
  const output = kernelsPath(folder);
  const unfinished = `${output}.${process.pid}`;
  await compile(
    [
      ...['-std=c++17', '-shared', '-fPIC', '-DNAPI_VERSION=8', ...KERNEL_FLAGS, '-o', unfinished],
      ...[nodeHeaders, ranks, coder].flatMap(folder => ['-I', folder]),
      ...sourcesIn([tensorflow, ranks, coder]),
      ...linkedWith(folder),
    ],
    onTick,
  );
  // Renamed only now, so that an interrupted compilation leaves no file that counts.
  renameSync(unfinished, output);
  removeOldKernels(folder);
}

/** Returns linker flags for TensorFlow's libraries, relative to the addons' folder. */
function linkedWith(folder: string): string[] {
  const libraries = path.join(runtimeFolder(folder), 'tensorflow');
  const fromOutput = path.relative(path.dirname(addonPath(folder)), libraries);
  return ['-L', libraries, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2', `-Wl,-rpath,$ORIGIN/${fromOutput}`];
}

async function compile(args: readonly string[], onTick: (elapsedSeconds: number) => void): Promise<void> {
  const result = await runCommand('g++', [...args], { onTick });
  if (result.status !== 0) throw new EngineError(`g++ could not compile the addon of ${ADDON_PACKAGE}:\n${result.output.trim()}`);
}
