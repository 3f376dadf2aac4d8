/** The folders of installed engines, and the manifest in each. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { z } from 'zod';

export const TENSORFLOW_VERSION = '2.21.0';
/** The size of the wheel of this version for processors, as measured for CPython 3.11 on x64. */
export const TENSORFLOW_WHEEL_BYTES = 273_829_956;
export const ADDON_VERSION = '4.22.0';
/** The npm package that contains the sources of the addon. */
export const ADDON_PACKAGE = '@tensorflow/tfjs-node-gpu';

export type Variant = 'cpu' | 'cuda';

/** Incremented when the addon is built differently: engines of an older format are rebuilt. */
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

/** Returns the folder of an unfinished installation, next to the finished ones; a later installation continues from it. */
export const partialFolder = (cacheDir: string, variant: Variant): string =>
  path.join(enginesFolder(cacheDir), `.${engineName(variant)}.partial`);

/** Returns the path of the compiled addon in an engine folder. */
export const addonPath = (folder: string): string => path.join(folder, 'addon', 'tfjs_binding.node');

/** Returns the path of our own addon for the heap, in the same folder. */
export const heapPath = (folder: string): string => path.join(path.dirname(addonPath(folder)), 'rowtune_heap.node');

/** Returns a `require` that resolves from the engine folder, since the engine is not among this program's own packages. */
export const engineRequire = (folder: string): NodeJS.Require => createRequire(path.join(folder, 'package.json'));

/** Returns the manifest; undefined if it is missing or not one of ours: then the installation is incomplete. */
export function readManifest(folder: string): EngineManifest | undefined {
  try {
    const parsed = manifestSchema.safeParse(JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the folder names of everything that is installed: TensorFlow, PJRT plugins and other tools. */
export function installedNames(cacheDir: string): string[] {
  const folder = enginesFolder(cacheDir);
  return existsSync(folder) ? readdirSync(folder).filter(name => !name.startsWith('.')) : [];
}

/** Returns every complete engine under the cache folder, newest version first, the CUDA build before the CPU build. */
export function listEngines(cacheDir: string): InstalledEngine[] {
  const folder = enginesFolder(cacheDir);
  const found = installedNames(cacheDir).flatMap(name => {
    const manifest = readManifest(path.join(folder, name));
    return manifest && existsSync(addonPath(path.join(folder, name))) ? [{ name, folder: path.join(folder, name), manifest }] : [];
  });
  const rank = ({ manifest }: InstalledEngine) => `${manifest.tensorflow} ${manifest.variant}`;
  return found.sort((a, b) => rank(b).localeCompare(rank(a), 'en', { numeric: true }));
}

/** Returns the engine to run: the first of `listEngines` that this version of Rowtune was made for. */
export function locateEngine(cacheDir: string): InstalledEngine | undefined {
  return listEngines(cacheDir).find(({ manifest }) => manifest.tensorflow === TENSORFLOW_VERSION);
}

/**
 * Removes an installed engine, or the leftovers of an interrupted installation.
 * @returns the folders removed; none if there is nothing with that name
 */
export function removeEngine(cacheDir: string, name: string): string[] {
  const isPlainName = path.basename(name) === name && !name.startsWith('.');
  const folders = isPlainName ? [path.join(enginesFolder(cacheDir), name), path.join(enginesFolder(cacheDir), `.${name}.partial`)] : [];
  const present = folders.filter(folder => name !== '' && existsSync(folder));
  for (const folder of present) rmSync(folder, { recursive: true });
  return present;
}
