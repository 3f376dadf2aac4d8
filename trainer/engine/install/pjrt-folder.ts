/** Which PJRT plugins can be installed, where each one lies, and the addon that was compiled to use it. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { namesOf } from '../../catalog/entries.ts';
import { resolveAddonSources } from './addon-sources.ts';
import { enginesFolder } from './engine-folder.ts';

export interface PjrtPlugin {
  /** The device that it computes on, for messages. */
  readonly label: string;
  /** Project and version on PyPI. */
  readonly project: string;
  readonly version: string;
  /** Checksum of the wheel, so that nothing else is ever loaded. */
  readonly sha256: string;
  readonly wheelBytes: number;
  /** The plugin in the wheel. */
  readonly library: string;
  readonly libraryBytes: number;
  /** `process.platform` and `process.arch` of the machines that it runs on. */
  readonly platforms: readonly string[];
  /** For the plugin's client. */
  readonly options: readonly (readonly [string, number])[];
}

/** By the name of the variant. */
export const pjrtPlugins = {
  'pjrt-cpu': {
    label: 'the CPU',
    project: 'lammps-jax-pjrt-cpu',
    version: '0.11.2',
    sha256: '1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1',
    wheelBytes: 62_711_338,
    library: 'lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so',
    libraryBytes: 201_600_336,
    platforms: ['linux x64'],
    // Without it the plugin divides the processor into four devices.
    options: [['cpu_device_count', 1]],
  },
} as const satisfies Readonly<Record<string, PjrtPlugin>>;

export type PjrtVariant = keyof typeof pjrtPlugins;

export const pjrtVariants = namesOf(pjrtPlugins);

const manifestSchema = z.object({
  format: z.literal(1),
  variant: z.enum(pjrtVariants),
  version: z.string(),
  wheel: z.object({ name: z.string(), sha256: z.string() }),
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

export const pjrtName = (variant: PjrtVariant): string => `${variant}-${pjrtPlugins[variant].version}`;

export const pjrtLibrary = ({ folder, plugin }: Pick<InstalledPjrt, 'folder' | 'plugin'>): string =>
  path.join(folder, 'runtime', plugin.library);

/** The compiler's arguments for the addon. */
export const PJRT_ADDON_FLAGS: readonly string[] = ['-std=c++17', '-O2', '-shared', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'];

/** The beginning of the names of compiled addons. */
export const PJRT_ADDON_PREFIX = 'rowtune_pjrt-';

/** The addon compiled from the sources of this version of Rowtune. */
export function pjrtAddonPath(folder: string): string {
  const { pjrt } = resolveAddonSources();
  const hash = createHash('sha256').update(PJRT_ADDON_FLAGS.join(' '));
  for (const file of readdirSync(pjrt).sort()) hash.update(file).update(readFileSync(path.join(pjrt, file)));
  return path.join(folder, 'addon', `${PJRT_ADDON_PREFIX}${hash.digest('hex').slice(0, 16)}.node`);
}

export const pjrtAddonIsCurrent = (folder: string): boolean => existsSync(pjrtAddonPath(folder));

/** Undefined where the installation is not complete. */
export function readPjrt(cacheDir: string, variant: PjrtVariant): InstalledPjrt | undefined {
  const name = pjrtName(variant);
  const folder = path.join(enginesFolder(cacheDir), name);
  try {
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')));
    const installed = { name, folder, manifest, plugin: pjrtPlugins[variant] };
    return existsSync(pjrtLibrary(installed)) ? installed : undefined;
  } catch {
    return undefined;
  }
}

export const listPjrt = (cacheDir: string): InstalledPjrt[] => pjrtVariants.flatMap(variant => readPjrt(cacheDir, variant) ?? []);

/** The plugin to run: the first that is installed. */
export const locatePjrt = (cacheDir: string): InstalledPjrt | undefined => listPjrt(cacheDir)[0];
