/** The folders of installed engines, and the description that each holds of itself. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { z } from 'zod';
import { EngineError } from '../engine.ts';

export const TENSORFLOW_VERSION = '2.21.0';
export const ADDON_VERSION = '4.22.0';
/** The npm package that carries the sources of the addon. */
export const ADDON_PACKAGE = '@tensorflow/tfjs-node-gpu';

export type Variant = 'cpu' | 'cuda';

/** Raised when the addon is built in another way: engines of an older format are built anew. */
export const MANIFEST_FORMAT = 3;

const wheelsSchema = z.array(z.object({ name: z.string(), sha256: z.string() }));

const manifestSchema = z.object({
  format: z.literal(MANIFEST_FORMAT),
  tensorflow: z.string(),
  addonPackage: z.string(),
  variant: z.enum(['cpu', 'cuda']),
  wheels: wheelsSchema,
  addonSha256: z.string(),
  installedAt: z.string(),
});

export type EngineManifest = z.infer<typeof manifestSchema>;

export const isWheels = (value: unknown): value is EngineManifest['wheels'] => wheelsSchema.safeParse(value).success;

export interface InstalledEngine {
  /** Folder name, for example `tensorflow-2.21.0-cpu`. */
  readonly name: string;
  readonly folder: string;
  readonly manifest: EngineManifest;
}

export const enginesFolder = (cacheDir: string): string => path.join(cacheDir, 'engines');

export const engineName = (variant: Variant): string => `tensorflow-${TENSORFLOW_VERSION}-${variant}`;

/** An unfinished install, next to the finished ones; a later install continues from it. */
export const partialFolder = (cacheDir: string, variant: Variant): string =>
  path.join(enginesFolder(cacheDir), `.${engineName(variant)}.partial`);

/** The compiled addon inside an engine folder. */
export const addonPath = (folder: string): string => path.join(folder, 'addon', 'tfjs_binding.node');

/** Our own addon for the heap, next to it. */
export const heapPath = (folder: string): string => path.join(path.dirname(addonPath(folder)), 'rowtune_heap.node');

/** A `require` that starts in the engine folder, since the engine is not among this program's own packages. */
export const engineRequire = (folder: string): NodeJS.Require => createRequire(path.join(folder, 'package.json'));

/** Undefined when the manifest is missing or is not one of ours: then the install is not complete. */
export function readManifest(folder: string): EngineManifest | undefined {
  try {
    const parsed = manifestSchema.safeParse(JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Every complete engine under the cache folder, newest version first, the CUDA build before the CPU build. */
export function listEngines(cacheDir: string): InstalledEngine[] {
  const folder = enginesFolder(cacheDir);
  const names = existsSync(folder) ? readdirSync(folder).filter(name => !name.startsWith('.')) : [];
  const found = names.flatMap(name => {
    const manifest = readManifest(path.join(folder, name));
    return manifest && existsSync(addonPath(path.join(folder, name))) ? [{ name, folder: path.join(folder, name), manifest }] : [];
  });
  const rank = ({ manifest }: InstalledEngine) => `${manifest.tensorflow} ${manifest.variant}`;
  return found.sort((a, b) => rank(b).localeCompare(rank(a), 'en', { numeric: true }));
}

/** The engine to run: the first of `listEngines` that this version of Rowtune was made for. */
export function locateEngine(cacheDir: string): InstalledEngine | undefined {
  return listEngines(cacheDir).find(({ manifest }) => manifest.tensorflow === TENSORFLOW_VERSION);
}

/**
 * Removes an installed engine, or what an interrupted install left of it.
 * @returns the folders removed
 * @throws EngineError when there is nothing of that name
 */
export function removeEngine(cacheDir: string, name: string): string[] {
  const known = listEngines(cacheDir).map(engine => engine.name);
  const isPlainName = path.basename(name) === name && !name.startsWith('.');
  const folders = isPlainName ? [path.join(enginesFolder(cacheDir), name), path.join(enginesFolder(cacheDir), `.${name}.partial`)] : [];
  const present = folders.filter(folder => name !== '' && existsSync(folder));
  if (present.length === 0)
    throw new EngineError(`no engine named '${name}' is installed; installed: ${known.join(', ') || 'none'} (see rowtune engine list)`);
  for (const folder of present) rmSync(folder, { recursive: true });
  return present;
}
