/** The folder of each installed PJRT plugin, and the addon that was compiled to use it. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { hashSources, resolveAddonSources } from './addon-sources.ts';
import { enginesFolder } from './engine-folder.ts';
import { type PjrtPlugin, type PjrtVariant, pjrtPlugins, pjrtVariants } from './pjrt-plugins.ts';

/** The variant of a plugin that lies anywhere on this machine, for example libtpu. */
export const OWN_PLUGIN = 'plugin';

const manifestSchema = z.object({
  format: z.literal(1),
  variant: z.enum([...pjrtVariants, OWN_PLUGIN]),
  version: z.string(),
  wheel: z.object({ name: z.string(), sha256: z.string() }),
  /** Those of a compiler and of libraries. */
  others: z.array(z.object({ name: z.string(), sha256: z.string() })).default([]),
  /** Compiles for cards that are not there, and does not compute. */
  isCompileOnly: z.boolean().default(false),
  /** The path of a plugin that lies anywhere. */
  library: z.string().optional(),
  installedAt: z.string(),
});

export type PjrtManifest = z.infer<typeof manifestSchema>;

export interface InstalledPjrt {
  /** The name of its folder, for example `pjrt-cpu-0.11.2`. */
  readonly name: string;
  readonly folder: string;
  readonly manifest: PjrtManifest;
  readonly plugin: PjrtPlugin;
}

export const pjrtName = (variant: PjrtVariant, isCompileOnly = false): string =>
  `${variant}-${pjrtPlugins[variant].wheel.version}${isCompileOnly ? '-compile-only' : ''}`;

/** A plugin that lies anywhere has a folder for its addon. */
export const ownPluginName = (library: string): string =>
  `${OWN_PLUGIN}-${path.basename(library, path.extname(library))}-${createHash('sha256').update(library).digest('hex').slice(0, 8)}`;

type Placed = Pick<InstalledPjrt, 'folder' | 'plugin'>;

/** A file of its wheels; the paths of a plugin that lies anywhere are absolute. */
const placeOf = ({ folder }: Pick<Placed, 'folder'>, file: string): string => path.resolve(folder, 'runtime', file);

export const pjrtLibrary = (installed: Placed): string => placeOf(installed, installed.plugin.library);

/** The libraries to load before the plugin: those that came with it or lie next to it. */
export const preloadedLibraries = (installed: Placed): string[] =>
  (installed.plugin.preloaded ?? []).map(file => placeOf(installed, file)).filter(file => existsSync(file));

/** The folder of NVIDIA's compiler that came with the plugin or lies next to it; undefined where there is none. */
export function cudaToolkit(installed: Placed): string | undefined {
  const { toolkit } = installed.plugin;
  const folder = toolkit === undefined ? undefined : placeOf(installed, toolkit);
  return folder !== undefined && existsSync(path.join(folder, 'bin', 'ptxas')) ? folder : undefined;
}

/** The command that installed it, which also compiles its addon again. */
export function installCommand({ manifest: { variant, isCompileOnly, library } }: Pick<InstalledPjrt, 'manifest'>): string {
  if (library !== undefined) return `rowtune engine install --plugin ${library}`;
  return `rowtune engine install --variant ${variant}${isCompileOnly ? ' --compile-only' : ''}`;
}

/** The compiler's arguments for the addon. On macOS, Node's own functions are found when it is loaded. */
export const PJRT_ADDON_FLAGS: readonly string[] = [
  ...['-std=c++17', '-O3', '-shared', '-fPIC', '-fvisibility=hidden', '-pthread', '-DNAPI_VERSION=8'],
  ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []),
];

/** The beginning of the names of compiled addons. */
export const PJRT_ADDON_PREFIX = 'rowtune_pjrt-';

/** The addon compiled from the sources of this version of Rowtune. */
export function pjrtAddonPath(folder: string): string {
  const { pjrt, ranks, coder } = resolveAddonSources();
  const hash = hashSources(createHash('sha256').update(PJRT_ADDON_FLAGS.join(' ')), [pjrt, ranks, coder]);
  return path.join(folder, 'addon', `${PJRT_ADDON_PREFIX}${hash.digest('hex').slice(0, 16)}.node`);
}

export const pjrtAddonIsCurrent = (folder: string): boolean => existsSync(pjrtAddonPath(folder));

/** Undefined where the installation is not complete, or is of another version of the plugin. */
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

/** The plugin that a manifest names by its path. Where the path is that of a known plugin in any folder of Python's packages, it is treated as that one. */
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

/** Plugins of the user's own choice first, then accelerators, then the processor; of one variant, what computes before what only compiles. */
export function listPjrt(cacheDir: string): InstalledPjrt[] {
  const folder = enginesFolder(cacheDir);
  const own = existsSync(folder) ? readdirSync(folder).filter(name => name.startsWith(`${OWN_PLUGIN}-`)) : [];
  const names = [...own, ...pjrtVariants.flatMap(variant => [pjrtName(variant), pjrtName(variant, true)])];
  return names.flatMap(name => readPjrt(cacheDir, name) ?? []);
}

/** The plugin to run: the first that is installed. */
export const locatePjrt = (cacheDir: string): InstalledPjrt | undefined =>
  listPjrt(cacheDir).find(({ manifest }) => !manifest.isCompileOnly);

/** The plugin that compiles for cards: the first that is installed and can. */
export const locateCardCompiler = (cacheDir: string): InstalledPjrt | undefined =>
  listPjrt(cacheDir).find(({ plugin }) => plugin.compiler !== undefined);
