/** Installs a PJRT plugin: its libraries from Python wheels, and the addon that calls it; then loads and tests both. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cardNames } from '../../catalog/cards.ts';
import { type TargetName, targetMaker, tpuNames } from '../../catalog/tpus.ts';
import { required } from '../../narrow.ts';
import { byteSize } from '../../protocol/text/format.ts';
import { EngineError } from '../engine.ts';
import { inheritedEnvironment } from '../inherited-environment.ts';
import { topologyOf } from '../pjrt/card-description.ts';
import { withFolders } from '../pjrt/compile-options.ts';
import { targetCompileOptions } from '../pjrt/target-options.ts';
import { buildPjrtAddon } from './build-pjrt-addon.ts';
import { enginesFolder } from './engine-folder.ts';
import { findDevice, surroundings } from './find-device.ts';
import { withInstallLock } from './install-lock.ts';
import type { InstallParams } from './install-tensorflow.ts';
import {
  cudaToolkit,
  type InstalledPjrt,
  OWN_PLUGIN,
  ownPluginName,
  type PjrtManifest,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
  pjrtName,
  preloadedLibraries,
  readPjrt,
} from './pjrt-folder.ts';
import { clientOptions, type PjrtPlugin, type PjrtVariant, type PluginWheel, pjrtPlugins } from './pjrt-plugins.ts';
import { pluginVariables } from './plugin-variables.ts';
import { runCommand } from './run-command.ts';
import { buildStandIns } from './stand-ins.ts';
import { requireCompiler, requirePython } from './toolchain.ts';
import { fetchKnownWheel, sha256OfFile, type WheelContext } from './wheel.ts';

export interface InstallPjrtParams extends Omit<InstallParams, 'variant'> {
  readonly variant: PjrtVariant;
  /** True to install only what is needed to compile for cards that are not present. */
  readonly isCompileOnly?: boolean;
}

/**
 * Installs into `<cacheDir>/engines/<variant>-<version>/`. If the plugin is already installed, only compiles the addon of this version of
 * Rowtune.
 * @throws EngineError if the machine, its device or a tool is unsuitable, a download fails or is not the expected file, or the plugin does
 * not load
 */
export async function installPjrt(params: InstallPjrtParams): Promise<InstalledPjrt> {
  const { variant, isCompileOnly = false } = params;
  const plugin = pjrtPlugins[variant];
  await checkMachine(variant, plugin, isCompileOnly);
  const name = pjrtName(variant, isCompileOnly);
  return place(params, name, async partial => {
    const wheels = [plugin.wheel, ...(plugin.compiler ?? []), ...(isCompileOnly ? [] : (plugin.runtime ?? []))];
    const [wheel, ...others] = await fetchAll(params, plugin, wheels, partial);
    if (!wheel) throw new EngineError(`${variant} has no wheel`);
    return { format: 1, variant, version: plugin.wheel.version, wheel, others, isCompileOnly, installedAt: new Date().toISOString() };
  });
}

/**
 * Compiles the addon for a plugin anywhere on this machine: libtpu, or the user's own.
 * @param library path of the plugin
 * @throws EngineError if it does not exist or does not load
 */
export async function installOwnPlugin(params: Omit<InstallParams, 'variant'> & { readonly library: string }): Promise<InstalledPjrt> {
  const library = path.resolve(params.library);
  if (!existsSync(library)) throw new EngineError(`${library} does not exist: write the path of a PJRT plugin, for example libtpu.so`);
  const sha256 = await sha256OfFile(library);
  return place(params, ownPluginName(library), async () => ({
    format: 1,
    variant: OWN_PLUGIN,
    version: sha256.slice(0, 8),
    wheel: { name: path.basename(library), sha256 },
    others: [],
    isCompileOnly: false,
    library,
    installedAt: new Date().toISOString(),
  }));
}

async function checkMachine(variant: PjrtVariant, plugin: PjrtPlugin, isCompileOnly: boolean): Promise<void> {
  const around = await surroundings();
  if (!plugin.platforms.includes(around.platform))
    throw new EngineError(`${variant} runs on ${plugin.platforms.join(' and ')}; this machine is ${around.platform}`);
  if (isCompileOnly && plugin.compiler === undefined)
    throw new EngineError(`${variant} does not compile for cards that are not there; leave out --compile-only`);
  const finding = isCompileOnly ? undefined : findDevice(plugin, around);
  if (finding === undefined || 'found' in finding) return;
  const instead = plugin.compiler === undefined ? '' : ' To compile for cards that are not there, add --compile-only.';
  throw new EngineError(`${variant} computes on ${plugin.label}, and ${finding.missing}.${instead}`);
}

/** Assembles an installation in a temporary folder, tests it, and renames it. */
async function place(
  { cacheDir, log, onProgress = () => {} }: Omit<InstallParams, 'variant'>,
  name: string,
  make: (partial: string) => Promise<PjrtManifest>,
): Promise<InstalledPjrt> {
  mkdirSync(enginesFolder(cacheDir), { recursive: true });
  return withInstallLock(path.join(enginesFolder(cacheDir), '.install.lock'), log, async () => {
    const folder = path.join(enginesFolder(cacheDir), name);
    const present = readPjrt(cacheDir, name);
    if (present && pjrtAddonIsCurrent(folder)) {
      log(`${name} is installed already in ${folder}`);
      return present;
    }
    const compiler = await requireCompiler();
    const tick = (step: string) => (elapsedSeconds: number) => onProgress({ step, elapsedSeconds });
    const partialName = `.${name}.partial`;
    const partial = path.join(enginesFolder(cacheDir), partialName);
    if (!present) {
      if (existsSync(partial)) log('continuing an interrupted installation');
      mkdirSync(partial, { recursive: true });
      writeFileSync(path.join(partial, 'manifest.json'), `${JSON.stringify(await make(partial), null, 2)}\n`);
    }
    const target = readPjrt(cacheDir, present ? name : partialName);
    if (!target) throw new EngineError(`${name} is not complete: its library is missing`);
    makeExecutable(target);
    if (target.plugin.standsIn && target.manifest.isCompileOnly) await buildStandIns(target, tick('stand-ins'));
    log(`compiling the addon with ${compiler} (about 10 seconds, or copying that of another plugin)`);
    await buildPjrtAddon(target.folder, tick('compile'));
    log('loading the plugin');
    await verifyPlugin(target, tick('verify'));
    if (!present) {
      rmSync(folder, { recursive: true, force: true });
      renameSync(partial, folder);
      // Kept until now, so that an interrupted installation continues from it. A plugin of the user's own downloads nothing.
      if (target.manifest.library === undefined) rmSync(path.join(cacheDir, 'downloads'), { recursive: true, force: true });
    }
    log(`installed ${name} in ${folder}`);
    return required(readPjrt(cacheDir, name), 'the description of the installed plugin');
  });
}

/** Makes NVIDIA's compiler programs, which XLA starts, executable: unpacking does not preserve that permission. */
function makeExecutable({ folder, plugin }: InstalledPjrt): void {
  for (const file of plugin.compiler?.flatMap(({ files = [] }) => files) ?? [])
    if (path.basename(path.dirname(file)) === 'bin') chmodSync(path.join(folder, 'runtime', file), 0o755);
}

/**
 * Downloads the wheels. Each is checked against the checksum that this version of Rowtune knows, and file by file against the wheel's own.
 */
async function fetchAll(
  { cacheDir, log, isCompileOnly, onProgress = () => {} }: InstallPjrtParams,
  plugin: PjrtPlugin,
  wheels: readonly PluginWheel[],
  partial: string,
): Promise<PjrtManifest['wheel'][]> {
  const totalBytes = wheels.reduce((sum, { bytes }) => sum + bytes, 0);
  const files = wheels.length === 1 ? 'one wheel' : `${wheels.length} wheels`;
  log(
    `${plugin.wheel.project} ${plugin.wheel.version}, the PJRT plugin for ${plugin.label}: ${byteSize(totalBytes)} to download (${files}), up to four times as much on disk`,
  );
  if (plugin.terms !== undefined) log(`its terms are ${plugin.terms}`);
  if (plugin.needs !== undefined && !isCompileOnly) log(`it also needs ${plugin.needs}, which is not installed from here`);
  const python = await requirePython();
  const found: PjrtManifest['wheel'][] = [];
  for (const wheel of wheels) {
    if (wheels.length > 1) log(`${found.length + 1} of ${wheels.length}: ${wheel.project} ${wheel.version}, ${byteSize(wheel.bytes)}`);
    const context: WheelContext = {
      python,
      downloads: path.join(cacheDir, 'downloads'),
      log,
      onProgress: progress => onProgress({ totalBytes: progress.bytes === undefined ? undefined : wheel.bytes, ...progress }),
    };
    found.push(await fetchOne(context, wheel, path.join(partial, 'runtime')));
  }
  return found;
}

async function fetchOne(
  context: WheelContext,
  { project, version, sha256, files, python }: PluginWheel,
  target: string,
): Promise<PjrtManifest['wheel']> {
  const known = { requirement: `${project}==${version}`, sha256, python };
  const wheel = await fetchKnownWheel(context, known, target, files ? 'plugin' : 'nvidia', files ?? []);
  return { name: path.basename(wheel), sha256 };
}

/** Exponentials of eight elements: enough to require compiling a kernel. */
const SMALLEST_MODULE =
  'func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {\n  %y = stablehlo.exponential %x : tensor<8xf32>\n  return %y : tensor<8xf32>\n}';

/** Opens the plugin in a separate process, which a broken plugin would crash; a compile-only plugin compiles a program. */
async function verifyPlugin(installed: InstalledPjrt, onTick: (elapsedSeconds: number) => void): Promise<void> {
  const { folder, plugin, manifest } = installed;
  const does = manifest.isCompileOnly ? compilesSmallest(installed) : opensPlugin(installed);
  // libtpu keeps a timer whose signal would end the process by its default action, once Node restores those at its regular end.
  const script = `const addon = require(${JSON.stringify(pjrtAddonPath(folder))});${does}.then(() => process.exit(0));`;
  const environment = { ...inheritedEnvironment(process.env).env, ...pluginVariables(plugin, manifest) };
  const result = await runCommand(process.execPath, ['-e', script], { environment, onTick });
  if (result.status === 0) return;
  const needs = plugin.needs === undefined ? '' : `\nIt needs ${plugin.needs}.`;
  throw new EngineError(`the plugin was installed but does not load:\n${result.output.trim()}${needs}`);
}

function opensPlugin(installed: InstalledPjrt): string {
  const params = [pjrtLibrary(installed), clientOptions(installed.plugin, 1), preloadedLibraries(installed)];
  return `
    addon.open(${params.map(param => JSON.stringify(param)).join()}).then(client => {
      const { major, minor, platform } = addon.describe(client);
      console.log('PJRT ' + major + '.' + minor + ' on ' + platform);
    })`;
}

function compilesSmallest(installed: InstalledPjrt): string {
  const target: TargetName = required(
    [...cardNames, ...tpuNames].find(name => targetMaker(name) === installed.plugin.device),
    'a card',
  );
  const options = withFolders(targetCompileOptions(target, { text: SMALLEST_MODULE }), { toolkit: cudaToolkit(installed) });
  const { name, options: described } = topologyOf(target);
  const params = [pjrtLibrary(installed), name, described];
  return `
    addon.describeDevice(${params.map(param => JSON.stringify(param)).join()})
      .then(topology => addon.compileFor(topology, Buffer.from(${JSON.stringify(SMALLEST_MODULE)}), Uint8Array.of(${options.join()})))
      .then(compiled => console.log(JSON.stringify(addon.compiledForMemory(compiled))))`;
}
