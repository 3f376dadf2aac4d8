/** Compiles programs for a card that need not be present, with the card's own compiler, and reads their memory use. */
import { type TargetMaker, type TargetName, targetLabel } from '../../catalog/tpus.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError } from '../engine.ts';
import { engineRequire } from '../install/engine-folder.ts';
import {
  cudaToolkit,
  type InstalledPjrt,
  installCommand,
  locateCardCompiler,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
} from '../install/pjrt-folder.ts';
import { cardCompilerOf } from '../install/pjrt-plugins.ts';
import { pluginVariables } from '../install/plugin-variables.ts';
import type { Addon, DeviceDescription, TopologyHandle } from './addon.ts';
import { topologyOf as describedMachine } from './card-description.ts';
import { type CardProgramMemory, cardPlugin, cardPrograms } from './card-programs.ts';
import { compileOnce } from './compile-once.ts';
import { type CompiledModule, withFolders } from './compile-options.ts';
import { hostOperations, memoryOfBuffers } from './program-buffers.ts';
import { targetCompileOptions } from './target-options.ts';

export interface CardCompiler {
  /** The plugin that compiles, for example "jax-cuda13-pjrt 0.12.0.1". */
  readonly plugin: string;
  /** Returns the device as its plugin describes it. */
  describe(card: TargetName): Promise<DeviceDescription>;
  /**
   * Compiles, or takes the result from the cache if this exact module was compiled for this card before.
   * @param mark of the plan to which the step belongs (`planMark`), by which estimates find it
   * @throws EngineError with the compiler's reason
   */
  compile(card: TargetName, module: CompiledModule, mark?: string): Promise<CardProgramMemory & { readonly found: boolean }>;
}

interface OpenParams {
  /** Receives one line for the user while another process compiles the same program. */
  readonly log?: (line: string) => void;
  /** True to compile only until the memory of a program is decided. It is the same to the byte, without machine code. */
  readonly forMemory?: boolean;
}

const KEPT_CHARACTERS = 600;

/**
 * Opens the plugin for a maker's cards in this process. Compiling uses other threads and all cores, so this belongs in a worker. A plugin
 * that chooses kernels on the device only decides the memory of programs.
 * @throws EngineError if no plugin that compiles for such cards is installed
 */
export function openCardCompiler(
  cacheDir: string,
  maker: TargetMaker,
  { log = () => undefined, forMemory = false }: OpenParams = {},
): CardCompiler {
  const installed = locateCardCompiler(cacheDir, maker);
  if (!installed)
    throw new EngineError(
      `no compiler for such cards is installed in ${cacheDir}; to install one, run: rowtune engine install --variant ${cardCompilerOf(maker).variant} --compile-only`,
    );
  if (!pjrtAddonIsCurrent(installed.folder))
    throw new EngineError(`the addon of ${installed.name} is that of another version of Rowtune; run: ${installCommand(installed)}`);
  const plugin = cardPlugin(installed);
  const programs = cardPrograms(cacheDir, plugin);
  const topologies = new Map<string, Promise<Topology>>();
  const topologyOf = (card: TargetName, cards = 1): Promise<Topology> => {
    const name = `${cards} ${card}`;
    const known = topologies.get(name) ?? openTopology(installed, card, cards);
    topologies.set(name, known);
    return known;
  };
  const compileNow = forMemory || installed.plugin.standsIn ? compileForMemory : compileWhole;
  const compile = async (card: TargetName, { text, replicas }: CompiledModule): Promise<CardProgramMemory> => {
    const started = Date.now();
    try {
      const options = withFolders(targetCompileOptions(card, { text, replicas }), { toolkit: cudaToolkit(installed) });
      const memory = await compileNow(await topologyOf(card, replicas), text, options);
      const program = { ...memory, seconds: (Date.now() - started) / 1000 };
      await programs.keep(card, { text, replicas }, program);
      return program;
    } catch (error) {
      const reason = messageOf(error).slice(0, KEPT_CHARACTERS);
      throw new EngineError(`${plugin} could not compile the program for ${targetLabel(card)}: ${reason}`, { cause: error });
    }
  };
  return {
    plugin,
    describe: async card => {
      const { addon, handle } = await topologyOf(card);
      return addon.describedDevice(handle);
    },
    compile: async (card, module, mark) => {
      if (mark !== undefined) await programs.marks(card).note(mark);
      const { program, found } = await compileOnce({
        lock: programs.lockOf(card, module),
        title: `the program for ${targetLabel(card)}`,
        find: async () => programs.find(card, module),
        compile: () => compile(card, module),
        log,
      });
      return { ...program, found };
    },
  };
}

interface Topology {
  readonly addon: Addon;
  readonly handle: TopologyHandle;
}

async function openTopology(installed: InstalledPjrt, card: TargetName, cards: number): Promise<Topology> {
  Object.assign(process.env, pluginVariables(installed.plugin, { isCompileOnly: true }));
  // Compiled from `engine/pjrt/native`; `Addon` describes its exports.
  const addon = engineRequire(installed.folder)(pjrtAddonPath(installed.folder)) as Addon;
  const { name, options } = describedMachine(card, cards);
  return { addon, handle: await addon.describeDevice(pjrtLibrary(installed), name, options) };
}

type Compile = (topology: Topology, text: string, options: Uint8Array) => Promise<Omit<CardProgramMemory, 'seconds'>>;

const compileWhole: Compile = async ({ addon, handle }, text, options) => {
  const compiled = await addon.compileFor(handle, Buffer.from(text), options);
  try {
    return { ...addon.compiledForMemory(compiled), hostOperations: hostOperations(await addon.optimized(compiled)) };
  } finally {
    addon.closeCompiled(compiled);
  }
};

const compileForMemory: Compile = async ({ addon, handle }, text, options) =>
  memoryOfBuffers(async folder =>
    addon.closeCompiled(await addon.compileFor(handle, Buffer.from(text), withFolders(options, { buffers: folder }))),
  );
