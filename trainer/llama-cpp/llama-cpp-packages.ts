/** The packages of llama.cpp: node-llama-cpp and its compiled binary for this system, so `rowtune engine install --with llama.cpp` gets them. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { toolCommand } from '../catalog/tools.ts';
import { EngineError } from '../engine/engine.ts';
import { type OptionalPackages, optionalFolder } from '../engine/install/optional-packages.ts';

const VERSION = '3.22.1';

/** Binaries without a GPU: the comparison takes a few dozen tokens, and the processor is the most exact of llama.cpp's backends. */
const BINARIES: Readonly<Record<string, string>> = {
  'linux x64': 'linux-x64',
  'linux arm64': 'linux-arm64',
  'darwin arm64': 'mac-arm64-metal',
  'darwin x64': 'mac-x64',
  'win32 x64': 'win-x64',
  'win32 arm64': 'win-arm64',
};

export const llamaCppName = `llama.cpp-${VERSION}`;

export const hasLlamaCpp = (cacheDir: string): boolean => existsSync(optionalFolder(cacheDir, { name: llamaCppName }));

export const INSTALL_LLAMA_CPP = toolCommand('llama.cpp');

/** @throws EngineError on a system that has no compiled binary */
export function llamaCppPackages(platform: string = process.platform, arch: string = process.arch): OptionalPackages {
  const binary = BINARIES[`${platform} ${arch}`];
  if (binary === undefined)
    throw new EngineError(
      `node-llama-cpp has no compiled binary for ${platform} ${arch}: exports to GGUF are not compared with llama.cpp here`,
    );
  return {
    name: llamaCppName,
    packages: { 'node-llama-cpp': VERSION, [`@node-llama-cpp/${binary}`]: VERSION },
    // The binaries of all other systems, CUDA and Vulkan among them, are its optional dependencies.
    npmOptions: ['--omit=optional'],
    finish: removeAmxBuild,
  };
}

/**
 * Removes the build for processors with AMX, which computes wrong products for some quantized models, different in each run (3.22.1, a tiny
 * Qwen3.5 in Q8_0 on a Xeon). Without that file, llama.cpp takes the build for older processors.
 */
function removeAmxBuild(folder: string): void {
  const binaries = path.join(folder, 'node_modules', '@node-llama-cpp');
  for (const file of readdirSync(binaries, { recursive: true, encoding: 'utf8' }))
    if (/ggml-cpu-sapphirerapids\.(so|dll)$/.test(file)) rmSync(path.join(binaries, file), { force: true });
}
