/** `rowtune engine install | list | remove`: the engines in the cache folder. */
import path from 'node:path';
import { type Command, Option } from 'commander';
import { isOneOf, namesOf, namesWhere, orList } from '../../catalog/entries.ts';
import { type ToolName, toolCatalog } from '../../catalog/tools.ts';
import { enginesFolder, installedNames, listEngines, removeEngine, type Variant } from '../../engine/install/engine-folder.ts';
import { choosePlugin, surroundings } from '../../engine/install/find-device.ts';
import { addImages, imagePackages } from '../../engine/install/image-packages.ts';
import { installMpi } from '../../engine/install/install-mpi.ts';
import { installOwnPlugin, installPjrt } from '../../engine/install/install-pjrt.ts';
import { type InstallParams, installTensorflow } from '../../engine/install/install-tensorflow.ts';
import { kernelsAreCurrent } from '../../engine/install/kernel-stamp.ts';
import { installOptional } from '../../engine/install/optional-packages.ts';
import { installCommand, listPjrt, pjrtAddonIsCurrent } from '../../engine/install/pjrt-folder.ts';
import { type PjrtVariant, pjrtPlugins, pjrtVariants } from '../../engine/install/pjrt-plugins.ts';
import { webgpuPackages } from '../../engine/install/webgpu-packages.ts';
import type { Progress } from '../../engine/install/wheel.ts';
import { llamaCppPackages } from '../../llama-cpp/llama-cpp-packages.ts';
import { onnxRuntimePackages } from '../../onnxruntime/onnxruntime-packages.ts';
import { byteSize, duration, table } from '../../protocol/text/format.ts';
import { CliError, EXIT } from '../cli-error.ts';
import {
  type AddCommand,
  type CommandContext,
  type CommandResult,
  runCommandWork,
  type Surroundings,
  withCommonOptions,
} from '../command.ts';

export const addEngine: AddCommand = (program, surroundings) => {
  const engine = program
    .command('engine')
    .description('install, list or remove engines (TensorFlow, PJRT plugins, WebGPU) and other tools');
  addInstall(engine, surroundings);
  addList(engine, surroundings);
  addRemove(engine, surroundings);
};

function addInstall(engine: Command, surroundings: Surroundings): void {
  const command = engine
    .command('install')
    .description(
      'install TensorFlow or a PJRT plugin from PyPI and compile its addon, and get the library for images if it is missing; continues an interrupted installation',
    )
    .addOption(
      new Option(
        '--variant <name>',
        "TensorFlow's build (auto uses CUDA if there is an NVIDIA GPU); webgpu lets the portable engine use any GPU; pjrt is the plugin of the pjrt engine for the accelerator that is found, and the others are its plugins by name",
      )
        .choices(['auto', 'cpu', 'cuda', 'webgpu', BY_DEVICE, ...pjrtVariants])
        .default('auto'),
    )
    .option('--compile-only', 'with a plugin for NVIDIA, AMD or TPUs: only what it takes to compile for devices that are not there')
    .option('--plugin <file>', 'uses a PJRT plugin on this machine instead, for example libtpu.so')
    .addOption(
      new Option(
        '--with <tool>',
        `installs another tool alone: ${Object.entries(toolCatalog)
          .map(([name, { megabytes, purpose }]) => `${name} (${megabytes} MB) ${purpose}`)
          .join('; ')}`,
      ).choices(namesOf(toolCatalog)),
    )
    .option('--no-images', 'does not get the library for images: without a network, npm tries for a minute');
  const examples = [
    'rowtune engine install',
    'rowtune engine install --variant cuda',
    'rowtune engine install --variant cuda13 --compile-only',
  ];
  withCommonOptions(command, examples).action(() =>
    runCommandWork(command, surroundings, context => install(context, command.opts<InstallOptions>())),
  );
}

/** The variant that selects the plugin for the accelerator of this machine. */
const BY_DEVICE = 'pjrt';

type AnyVariant = 'auto' | 'webgpu' | typeof BY_DEVICE | Variant | PjrtVariant;

/** The installers of the other tools. */
const toolInstallers: Readonly<Record<ToolName, (params: ToolParams) => Promise<Installed>>> = {
  images: params => installOptional(imagePackages, params),
  'llama.cpp': params => installOptional(llamaCppPackages(), params),
  onnxruntime: params => installOptional(onnxRuntimePackages(), params),
  mpi: installMpi,
};
type ToolParams = Omit<InstallParams, 'variant'>;

interface InstallOptions {
  readonly variant: AnyVariant;
  readonly with?: ToolName;
  readonly compileOnly?: boolean;
  readonly plugin?: string;
  /** False with `--no-images`. */
  readonly images: boolean;
}

function addList(engine: Command, surroundings: Surroundings): void {
  const command = engine.command('list').description('show the installed engines, the tools of --with, and their folders');
  withCommonOptions(command, ['rowtune engine list', 'rowtune engine list --json']).action(() =>
    runCommandWork(command, surroundings, list),
  );
}

function addRemove(engine: Command, surroundings: Surroundings): void {
  const command = engine
    .command('remove')
    .description('remove an installed engine or tool')
    .argument('<name>', 'a name from `rowtune engine list`');
  withCommonOptions(command, ['rowtune engine remove tensorflow-2.21.0-cpu']).action((name: string) =>
    runCommandWork(command, surroundings, context => remove(context, name)),
  );
}

const isPjrt = (variant: AnyVariant): variant is PjrtVariant => isOneOf(pjrtVariants, variant);

type Installed = { readonly name: string; readonly folder: string };

async function install(context: CommandContext, options: InstallOptions): Promise<CommandResult> {
  const { settings, terminal } = context;
  const say = (line: string) => terminal.say('info', line);
  const params = { cacheDir: settings.cacheDir, log: say, onProgress: progressReporter(say) };
  const installed = await installVariant(options, context, params);
  if (options.with === undefined && options.images) await addImages(params);
  terminal.print(`${installed.name} is ready in ${installed.folder}`);
  return { value: { ok: true, ...installed } };
}

async function installVariant(
  { variant, with: tool, compileOnly: isCompileOnly = false, plugin }: InstallOptions,
  { cwd }: CommandContext,
  params: ToolParams,
): Promise<Installed> {
  if (isCompileOnly && !isPjrt(variant))
    throw new CliError(`--compile-only goes with ${orList(variantsThatCompile.map(name => `--variant ${name}`))}`, {
      code: 'usage',
      exitStatus: EXIT.usage,
    });
  if (plugin !== undefined) return installOwnPlugin({ ...params, library: path.resolve(cwd, plugin) });
  if (tool !== undefined) return toolInstallers[tool](params);
  if (isPjrt(variant)) return installPjrt({ ...params, variant, isCompileOnly });
  if (variant === 'webgpu') return installOptional(webgpuPackages, params);
  if (variant !== BY_DEVICE) return installTensorflow({ ...params, variant });
  const chosen = choosePlugin(await surroundings());
  params.log(`found ${chosen.found}: taking ${chosen.variant}`);
  return installPjrt({ ...params, variant: chosen.variant });
}

const variantsThatCompile = namesWhere(pjrtPlugins, ({ compiler }) => compiler !== undefined);

/** Seconds between two lines about a step. */
const REPORT_SECONDS = 5;

/** Reports progress. Steps of unknown size (pip, the compiler) have no bar, so they get a line every few seconds. */
export function progressReporter(say: (line: string) => void): (progress: Progress) => void {
  let shown = { step: '', elapsedSeconds: 0 };
  return ({ step, elapsedSeconds, bytes, totalBytes }) => {
    // Several commands may belong to a step of the same name; each starts counting again.
    if (step !== shown.step || elapsedSeconds < shown.elapsedSeconds) shown = { step, elapsedSeconds: 0 };
    if (elapsedSeconds - shown.elapsedSeconds < REPORT_SECONDS) return;
    shown = { step, elapsedSeconds };
    const amount =
      bytes === undefined ? '' : totalBytes === undefined ? `, ${byteSize(bytes)}` : `, ${byteSize(bytes)} of ${byteSize(totalBytes)}`;
    const rate = bytes === undefined ? '' : `, ${byteSize(bytes / elapsedSeconds)}/s`;
    const left = bytes && totalBytes ? `, ${duration((elapsedSeconds * (totalBytes - bytes)) / bytes)} left` : '';
    say(`  ${step}: ${duration(elapsedSeconds)}${amount}${rate}${left}`);
  };
}

async function list({ settings, terminal }: CommandContext): Promise<CommandResult> {
  const tensorflow = listEngines(settings.cacheDir).map(({ name, folder, manifest }) => ({
    name,
    folder,
    manifest,
    version: manifest.tensorflow,
    /** Whether its compiled kernels are those of this version of Rowtune, for this processor. */
    isCurrent: kernelsAreCurrent(folder),
    repair: 'rowtune engine install',
  }));
  const pjrt = listPjrt(settings.cacheDir).map(installed => ({
    name: installed.name,
    folder: installed.folder,
    manifest: installed.manifest,
    version: installed.manifest.version,
    isCurrent: pjrtAddonIsCurrent(installed.folder),
    repair: installCommand(installed),
  }));
  const engines = [...tensorflow, ...pjrt];
  const rows = engines.map(({ name, version, folder, manifest, isCurrent, repair }) => [
    name,
    version,
    manifest.variant,
    manifest.installedAt.slice(0, 10),
    isCurrent ? 'current' : `needs recompiling: ${repair}`,
    folder,
  ]);
  terminal.print(
    engines.length === 0
      ? `no engine is installed in ${settings.cacheDir} (the portable engine needs none); to install TensorFlow, run: rowtune engine install`
      : table([['name', 'version', 'build', 'installed', 'kernels', 'folder'], ...rows]),
  );
  const tools = installedNames(settings.cacheDir)
    .filter(name => !engines.some(engine => engine.name === name))
    .map(name => ({ name, folder: path.join(enginesFolder(settings.cacheDir), name) }));
  if (tools.length > 0) terminal.print(`\n${table([['other tool', 'folder'], ...tools.map(({ name, folder }) => [name, folder])])}`);
  return { value: { ok: true, cacheDir: settings.cacheDir, engines, tools } };
}

async function remove({ settings, terminal }: CommandContext, name: string): Promise<CommandResult> {
  const removed = removeEngine(settings.cacheDir, name);
  if (removed.length === 0)
    throw new CliError(`no engine or tool named '${name}' is installed`, {
      code: 'usage',
      exitStatus: EXIT.usage,
      hint: `Installed: ${installedNames(settings.cacheDir).join(', ') || 'none'}.`,
    });
  for (const folder of removed) terminal.print(`removed ${folder}`);
  return { value: { ok: true, removed } };
}
