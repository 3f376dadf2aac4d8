/** Locates the sources of TensorFlow's addon, which come with Rowtune and are compiled where the engine is installed. */
import type { Hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from '../engine.ts';
import { ADDON_PACKAGE } from './engine-folder.ts';

export interface AddonSources {
  /** The binding's `.cc` and `.h` files. */
  readonly binding: string;
  /** Headers of Node-API. */
  readonly nodeHeaders: string;
  /** Our own kernels for TensorFlow, by folder. */
  readonly tensorflow: string;
  /** Our addon for PJRT plugins. */
  readonly pjrt: string;
  /** Sums over the processes of a run, compiled into both addons. */
  readonly ranks: string;
  /** Encodings of weights, also compiled into both. */
  readonly coder: string;
}

/**
 * Returns `addon/` next to the bundle, otherwise the npm packages that it was copied from.
 * @throws EngineError if neither exists
 */
export function resolveAddonSources(moduleUrl: string = import.meta.url): AddonSources {
  const here = path.dirname(fileURLToPath(moduleUrl));
  const bundled = path.join(here, 'addon');
  const candidates = [
    // The benchmark's bundles are one folder below the others.
    ...[bundled, path.join(here, '..', 'addon')].map(folder => ({
      binding: path.join(folder, 'binding'),
      nodeHeaders: path.join(folder, 'include'),
      tensorflow: path.join(folder, 'tensorflow'),
      pjrt: path.join(folder, 'pjrt'),
      ranks: path.join(folder, 'ranks'),
      coder: path.join(folder, 'coder'),
    })),
    {
      binding: packageFolder(moduleUrl, ADDON_PACKAGE, 'binding'),
      nodeHeaders: packageFolder(moduleUrl, 'node-api-headers', 'include'),
      tensorflow: path.join(here, '..', 'tensorflow', 'native'),
      pjrt: path.join(here, '..', 'pjrt', 'native'),
      ranks: path.join(here, '..', 'mpi', 'native'),
      coder: path.join(here, '..', 'coder', 'native'),
    },
  ];
  const found = candidates.find(folders => Object.values(folders).every(folder => existsSync(folder)));
  if (!found) throw new EngineError(`the sources of ${ADDON_PACKAGE} are neither in ${bundled} nor installed: run "npm run build"`);
  return found;
}

const filesIn = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

/** Returns the paths of the source files to compile in these folders. */
export const sourcesIn = (folders: readonly string[]): string[] =>
  folders.flatMap(folder =>
    filesIn(folder)
      .filter(file => file.endsWith('.cc'))
      .map(file => path.join(folder, file)),
  );

/** Adds the names and contents of all sources and headers in these folders to a checksum. */
export function hashSources(hash: Hash, folders: readonly string[]): Hash {
  for (const folder of folders)
    for (const file of filesIn(folder).filter(name => /\.(cc|h)$/.test(name)))
      hash.update(file).update(readFileSync(path.join(folder, file)));
  return hash;
}

/** Returns the folder; empty, which is not a folder, if the package is not installed. */
function packageFolder(moduleUrl: string, name: string, part: string): string {
  try {
    return path.join(path.dirname(createRequire(moduleUrl).resolve(`${name}/package.json`)), part);
  } catch {
    return '';
  }
}
