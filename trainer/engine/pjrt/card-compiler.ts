/** Compiles programs for a card that need not be present, with the card's own compiler, and reads their memory use. */
import { type CardName, cardCatalog } from '../../catalog/cards.ts';
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
import type { Addon, TopologyHandle } from './addon.ts';
import { describeCard } from './card-description.ts';
import { type CardProgramMemory, cardPlugin, cardPrograms } from './card-programs.ts';
import { compileOnce } from './compile-once.ts';
import { type CompiledModule, type CompilerFolders, cardCompileOptions, withFolders } from './compile-options.ts';

export interface CardCompiler {
  /** The plugin that compiles, for example "jax-cuda13-pjrt 0.12.0.1". */
  readonly plugin: string;
  /**
   * Compiles, or takes the result from the cache if this exact module was compiled for this card before.
   * @param mark of the plan to which the step belongs (`planMark`), by which estimates find it
   * @throws EngineError with the compiler's reason
   */
  compile(card: CardName, module: CompiledModule, mark?: string): Promise<CardProgramMemory & { readonly found: boolean }>;
}

interface OpenParams extends Pick<CompilerFolders, 'buffers'> {
  /** Receives one line for the user while another process compiles the same program. */
  readonly log?: (line: string) => void;
}

const KEPT_CHARACTERS = 600;
/** Returns the topology of a machine with this many cards. */
const topologyText = (cards: number): string => `1x1x${cards}`;

/**
 * Opens the plugin in this process. Compiling uses other threads and all cores, so this belongs in a worker.
 * @param params for programs that never run: where to write their buffers (`buffers`). Memory use is identical to the byte
 * @throws EngineError if no plugin that compiles for cards is installed
 */
export function openCardCompiler(cacheDir: string, { log = () => undefined, ...folders }: OpenParams = {}): CardCompiler {
  const installed = locateCardCompiler(cacheDir);
  if (!installed)
    throw new EngineError(
      `no compiler for cards is installed in ${cacheDir}; to install one, run: rowtune engine install --variant cuda13 --compile-only`,
    );
  if (!pjrtAddonIsCurrent(installed.folder))
    throw new EngineError(`the addon of ${installed.name} is that of another version of Rowtune; run: ${installCommand(installed)}`);
  const plugin = cardPlugin(installed);
  const programs = cardPrograms(cacheDir, plugin);
  const topologies = new Map<string, Promise<Topology>>();
  const topologyOf = (card: CardName, cards = 1): Promise<Topology> => {
    const name = `${cards} ${card}`;
    const known = topologies.get(name) ?? openTopology(installed, card, cards);
    topologies.set(name, known);
    return known;
  };
  const compile = async (card: CardName, { text, replicas }: CompiledModule): Promise<CardProgramMemory> => {
    try {
      const memory = await compileNow(
        await topologyOf(card, replicas),
        text,
        withFolders(cardCompileOptions({ text, replicas }), { toolkit: cudaToolkit(installed), ...folders }),
      );
      await programs.keep(card, { text, replicas }, memory);
      return memory;
    } catch (error) {
      const reason = messageOf(error).slice(0, KEPT_CHARACTERS);
      throw new EngineError(`${plugin} could not compile the program for ${cardCatalog[card].label}: ${reason}`, { cause: error });
    }
  };
  return {
    plugin,
    compile: async (card, module, mark) => {
      if (mark !== undefined) await programs.marks(card).note(mark);
      const { program, found } = await compileOnce({
        lock: programs.lockOf(card, module),
        title: `the program for ${cardCatalog[card].label}`,
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

async function openTopology(installed: InstalledPjrt, card: CardName, cards: number): Promise<Topology> {
  // Compiled from `engine/pjrt/native`; `Addon` describes its exports.
  const addon = engineRequire(installed.folder)(pjrtAddonPath(installed.folder)) as Addon;
  const handle = await addon.describeDevice(pjrtLibrary(installed), card, [
    ['topology', topologyText(cards)],
    ['target_config', describeCard(card)],
  ]);
  return { addon, handle };
}

async function compileNow({ addon, handle }: Topology, text: string, options: Uint8Array): Promise<CardProgramMemory> {
  const started = Date.now();
  const compiled = await addon.compileFor(handle, Buffer.from(text), options);
  try {
    const seconds = (Date.now() - started) / 1000;
    return { ...addon.compiledForMemory(compiled), hostOperations: hostOperations(await addon.optimized(compiled)), seconds };
  } finally {
    addon.closeCompiled(compiled);
  }
}

/** XLA operations that leave the device: each opcode is a separate string in the binary format. */
const HOST_OPERATIONS = ['infeed', 'outfeed', 'send', 'recv', 'MoveToHost', 'MoveToDevice', 'xla_ffi_python_gpu_callback'] as const;

/** Returns the names found in a binary program. A string field in a protobuf is its length followed by its characters. */
export const hostOperations = (program: Uint8Array): string[] =>
  HOST_OPERATIONS.filter(name => Buffer.from(program).includes(Buffer.from([name.length, ...Buffer.from(name)])));
