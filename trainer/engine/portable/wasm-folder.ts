/** Locates the folder of tfjs's WebAssembly files. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from '../engine.ts';

/** Both are needed: the one that is loaded depends on the CPU. In Node, tfjs does not load the third, which has threads. */
export const WASM_FILES = ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm'] as const;

/**
 * Returns the folder with the wasm files, with a trailing separator: `wasm/` next to the bundle, otherwise the installed npm package.
 * @throws EngineError if neither has them
 */
export function resolveWasmFolder(moduleUrl: string = import.meta.url): string {
  const bundled = join(dirname(fileURLToPath(moduleUrl)), 'wasm');
  const folder = [bundled, installedFolder(moduleUrl)].find(dir => dir && WASM_FILES.every(file => existsSync(join(dir, file))));
  if (!folder) throw new EngineError(`the WebAssembly files of tfjs are neither in ${bundled} nor installed: run "npm run build"`);
  return folder + sep;
}

function installedFolder(moduleUrl: string): string | undefined {
  try {
    return dirname(createRequire(moduleUrl).resolve('@tensorflow/tfjs-backend-wasm'));
  } catch {
    return undefined;
  }
}
