/** Installs a PJRT plugin: its library from a Python wheel, and the addon that speaks its interface, loaded and tried. */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { required } from '../../narrow.ts';
import { byteSize } from '../../protocol/format.ts';
import { EngineError } from '../engine.ts';
import { inheritedEnvironment } from '../inherited-environment.ts';
import { resolveAddonSources } from './addon-sources.ts';
import { enginesFolder } from './engine-folder.ts';
import { withInstallLock } from './install-lock.ts';
import type { InstallParams } from './install-tensorflow.ts';
import { removeOldAddons } from './kernel-stamp.ts';
import {
  type InstalledPjrt,
  PJRT_ADDON_FLAGS,
  PJRT_ADDON_PREFIX,
  type PjrtManifest,
  type PjrtPlugin,
  type PjrtVariant,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
  pjrtName,
  pjrtPlugins,
  readPjrt,
} from './pjrt-folder.ts';
import { runCommand } from './run-command.ts';
import { requireCompiler, requirePython } from './toolchain.ts';
import { downloadWheel, fetchWheel, sha256OfFile, type WheelContext } from './wheel.ts';

export interface InstallPjrtParams extends Omit<InstallParams, 'variant'> {
  readonly variant: PjrtVariant;
}

/**
 * Installs into `<cacheDir>/engines/<variant>-<version>/`. A plugin that is there already only gets the addon of this version of Rowtune.
 * @throws EngineError when the machine or a tool does not fit, a download fails or is another file than expected, or the plugin does not load
 */
export async function installPjrt({ cacheDir, variant, log, onProgress = () => {} }: InstallPjrtParams): Promise<InstalledPjrt> {
  const plugin: PjrtPlugin = pjrtPlugins[variant];
  const here = `${process.platform} ${process.arch}`;
  if (!plugin.platforms.includes(here))
    throw new EngineError(`${variant} runs on ${plugin.platforms.join(' and ')}; this machine is ${here}`);
  mkdirSync(enginesFolder(cacheDir), { recursive: true });
  return withInstallLock(path.join(enginesFolder(cacheDir), '.install.lock'), log, async () => {
    const name = pjrtName(variant);
    const folder = path.join(enginesFolder(cacheDir), name);
    const present = readPjrt(cacheDir, variant);
    if (present && pjrtAddonIsCurrent(folder)) {
      log(`${name} is installed already in ${folder}`);
      return present;
    }
    const compiler = await requireCompiler();
    const tick = (step: string) => (elapsedSeconds: number) => onProgress({ step, elapsedSeconds });
    const partial = path.join(enginesFolder(cacheDir), `.${name}.partial`);
    const target = present ? folder : partial;
    if (!present) {
      mkdirSync(partial, { recursive: true });
      const sizes = `${byteSize(plugin.wheelBytes)} to download, ${byteSize(plugin.libraryBytes)} on disk`;
      log(`${plugin.project} ${plugin.version}, the PJRT plugin for ${plugin.label}: ${sizes}`);
      const context = { python: await requirePython(), downloads: path.join(cacheDir, 'downloads'), log, onProgress };
      const wheel = await fetchPlugin(context, plugin, path.join(partial, 'runtime'));
      const manifest: PjrtManifest = { format: 1, variant, version: plugin.version, wheel, installedAt: new Date().toISOString() };
      writeFileSync(path.join(partial, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    }
    log(`compiling the addon with ${compiler} (about 5 seconds)`);
    await buildPjrtAddon(target, tick('compile'));
    log('loading the plugin');
    await verifyPlugin(target, plugin, tick('verify'));
    if (!present) {
      rmSync(folder, { recursive: true, force: true });
      renameSync(partial, folder);
      rmSync(path.join(cacheDir, 'downloads'), { recursive: true, force: true });
    }
    log(`installed ${name} in ${folder}`);
    return required(readPjrt(cacheDir, variant), 'the description of the installed plugin');
  });
}

/** Checked against the checksum that this version of Rowtune knows, and file by file against the wheel's own. */
async function fetchPlugin(context: WheelContext, plugin: PjrtPlugin, target: string): Promise<PjrtManifest['wheel']> {
  const requirement = `${plugin.project}==${plugin.version}`;
  const wheel = await downloadWheel(context, requirement);
  const sha256 = await sha256OfFile(wheel);
  if (sha256 !== plugin.sha256) {
    rmSync(wheel, { force: true });
    throw new EngineError(
      `${path.basename(wheel)} is not the file that Rowtune was tested with: its SHA-256 is ${sha256} instead of ${plugin.sha256}. It was removed; run the installation again`,
    );
  }
  await fetchWheel(context, requirement, target, 'plugin', [plugin.library]);
  return { name: path.basename(wheel), sha256 };
}

/** @throws EngineError with the compiler's output */
export async function buildPjrtAddon(folder: string, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const { pjrt, nodeHeaders } = resolveAddonSources();
  const output = pjrtAddonPath(folder);
  const addons = path.dirname(output);
  mkdirSync(addons, { recursive: true });
  const unfinished = `${output}.${process.pid}`;
  const sources = readdirSync(pjrt).filter(file => file.endsWith('.cc'));
  const args = [...PJRT_ADDON_FLAGS, '-I', nodeHeaders, ...sources.map(file => path.join(pjrt, file)), '-o', unfinished, '-ldl'];
  const result = await runCommand('g++', args, { onTick });
  if (result.status !== 0) throw new EngineError(`g++ could not compile the PJRT addon:\n${result.output.trim()}`);
  renameSync(unfinished, output);
  removeOldAddons(addons, PJRT_ADDON_PREFIX);
}

/** Opens the plugin in a process of its own, which a broken one would end. */
async function verifyPlugin(folder: string, plugin: PjrtPlugin, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const library = pjrtLibrary({ folder, plugin });
  const script = `
    const addon = require(${JSON.stringify(pjrtAddonPath(folder))});
    addon.open(${JSON.stringify(library)}, ${JSON.stringify(plugin.options)}).then(client => {
      const { major, minor, platform } = addon.describe(client);
      console.log('PJRT ' + major + '.' + minor + ' on ' + platform);
    });`;
  const result = await runCommand(process.execPath, ['-e', script], { environment: inheritedEnvironment(process.env).env, onTick });
  if (result.status !== 0 || !existsSync(library))
    throw new EngineError(`the plugin was installed but does not load:\n${result.output.trim()}`);
}
