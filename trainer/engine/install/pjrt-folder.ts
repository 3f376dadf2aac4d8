/** The folder of each installed PJRT plugin, and the addon compiled to use it. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { TargetMaker } from '../../catalog/tpus.ts';
import { hashSources, resolveAddonSources } from './addon-sources.ts';
import { enginesFolder } from './engine-folder.ts';
import { type PjrtPlugin, type PjrtVariant, pjrtPlugins, pjrtVariants } from './pjrt-plugins.ts';

/** The variant of a plugin that is located anywhere on this machine, for example libtpu. */
export const OWN_PLUGIN = 'plugin';

const manifestSchema = z.object({
  format: z.literal(1),
  variant: z.enum([...pjrtVariants, OWN_PLUGIN]),
  version: z.string(),
  wheel: z.object({ name: z.string(), sha256: z.string() }),
  /** Wheels of a compiler and of libraries. */
  others: z.array(z.object({ name: z.string(), sha256: z.string() })).default([]),
  /** True if it only compiles for cards that are not present, and does not compute. */
  isCompileOnly: z.boolean().default(false),
  /** Path of a plugin located anywhere on this machine. */
  library: z.string().optional(),
  installedAt: z.string(),
});

export type PjrtManifest = z.infer<typeof manifestSchema>;

export interface InstalledPjrt {
  /** Name of its folder, for example `pjrt-cpu-0.11.2`. */
  readonly name: string;
  readonly folder: string;
  readonly manifest: PjrtManifest;
  readonly plugin: PjrtPlugin;
}

export const pjrtName = (variant: PjrtVariant, isCompileOnly = false): string =>
  `${variant}-${pjrtPlugins[variant].wheel.version}${isCompileOnly ? '-compile-only' : ''}`;

/** Returns the name of the folder for the addon of a plugin located anywhere on this machine. */
export const ownPluginName = (library: string): string =>
  `${OWN_PLUGIN}-${path.basename(library, path.extname(library))}-${createHash('sha256').update(library).digest('hex').slice(0, 8)}`;

type Placed = Pick<InstalledPjrt, 'folder' | 'plugin'>;

/** Returns the path of a file from its wheels; the paths of a plugin located anywhere are absolute. */
const placeOf = ({ folder }: Pick<Placed, 'folder'>, file: string): string => path.resolve(folder, 'runtime', file);

export const pjrtLibrary = (installed: Placed): string => placeOf(installed, installed.plugin.library);

/** Returns the libraries to load before the plugin: those that came with it or are stored next to it. */
export const preloadedLibraries = (installed: Placed): string[] =>
  (installed.plugin.preloaded ?? []).map(file => placeOf(installed, file)).filter(file => existsSync(file));

/** Returns the folder of NVIDIA's compiler that came with the plugin or is stored next to it; undefined if there is none. */
export function cudaToolkit(installed: Placed): string | undefined {
  const { toolkit } = installed.plugin;
  const folder = toolkit === undefined ? undefined : placeOf(installed, toolkit);
  return folder !== undefined && existsSync(path.join(folder, 'bin', 'ptxas')) ? folder : undefined;
}

/** Returns the command that installed the plugin, which also recompiles its addon. */
export function installCommand({ manifest: { variant, isCompileOnly, library } }: Pick<InstalledPjrt, 'manifest'>): string {
  if (library !== undefined) return `rowtune engine install --plugin ${library}`;
  return `rowtune engine install --variant ${variant}${isCompileOnly ? ' --compile-only' : ''}`;
}

/** Compiler arguments for the addon. On macOS, Node's own functions are resolved when it is loaded. */
export const PJRT_ADDON_FLAGS: readonly string[] = [
  ...['-std=c++17', '-O3', '-shared', '-fPIC', '-fvisibility=hidden', '-pthread', '-DNAPI_VERSION=8'],
  ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []),
];

/** Prefix of the names of compiled addons. */
export const PJRT_ADDON_PREFIX = 'rowtune_pjrt-';

/** Returns the path of the addon compiled from the sources of this version of Rowtune. */
export function pjrtAddonPath(folder: string): string {
  const { pjrt, ranks, coder } = resolveAddonSources();
  const hash = hashSources(createHash('sha256').update(PJRT_ADDON_FLAGS.join(' ')), [pjrt, ranks, coder]);
  return path.join(folder, 'addon', `${PJRT_ADDON_PREFIX}${hash.digest('hex').slice(0, 16)}.node`);
}

export const pjrtAddonIsCurrent = (folder: string): boolean => existsSync(pjrtAddonPath(folder));

/** Reads an installation; undefined if it is incomplete or has another version of the plugin. */
export function readPjrt(cacheDir: string, name: string): InstalledPjrt | undefined {
  const folder = path.join(enginesFolder(cacheDir), name);
  try {
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')));
    const plugin = manifest.variant === OWN_PLUGIN ? ownPlugin(manifest) : pjrtPlugins[manifest.variant];
    if (plugin === undefined || manifest.version !== plugin.wheel.version) return undefined;
    const installed = { name, folder, manifest, plugin };
    return existsSync(pjrtLibrary(installed)) ? installed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the plugin that a manifest names by its path. If the path is that of a known plugin in any folder of Python packages, it is
 * treated as that plugin.
 */
function ownPlugin({ library, version, wheel: { sha256 } }: PjrtManifest): PjrtPlugin | undefined {
  if (library === undefined) return undefined;
  const own = { label: library, wheel: { project: path.basename(library), version, bytes: 0, sha256 }, library, platforms: [] };
  const known = pjrtVariants.map(variant => pjrtPlugins[variant]).find(plugin => library.endsWith(path.sep + plugin.library));
  if (!known) return { ...own, device: 'any', options: [] };
  const { device, options, dividedBy, toolkit, preloaded = [], tunes } = known;
  const packages = library.slice(0, -known.library.length);
  return {
    ...own,
    ...{ device, options },
    ...(dividedBy !== undefined && { dividedBy }),
    ...(tunes && { tunes }),
    ...(toolkit !== undefined && { toolkit: packages + toolkit }),
    preloaded: preloaded.map(file => packages + file),
  };
}

/**
 * Lists the user's own plugins first, then accelerators, then the CPU; for the same variant, computing plugins before compile-only ones.
 */
export function listPjrt(cacheDir: string): InstalledPjrt[] {
  const folder = enginesFolder(cacheDir);
  const own = existsSync(folder) ? readdirSync(folder).filter(name => name.startsWith(`${OWN_PLUGIN}-`)) : [];
  const names = [...own, ...pjrtVariants.flatMap(variant => [pjrtName(variant), pjrtName(variant, true)])];
  return names.flatMap(name => readPjrt(cacheDir, name) ?? []);
}

/** Returns the plugin to run: the first installed one. */
export const locatePjrt = (cacheDir: string): InstalledPjrt | undefined =>
  listPjrt(cacheDir).find(({ manifest }) => !manifest.isCompileOnly);

/** Returns the plugin that compiles for a maker's devices: the first installed one that can. */
export const locateCardCompiler = (cacheDir: string, maker: TargetMaker): InstalledPjrt | undefined =>
  listPjrt(cacheDir).find(({ plugin }) => plugin.compiler !== undefined && plugin.device === maker);
