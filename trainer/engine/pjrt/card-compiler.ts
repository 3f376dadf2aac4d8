/** Compiles programs for a card that need not be there, with the card's own compiler, and reads the memory that they take on it. */
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
import { type CompiledModule, type CompilerFolders, cardCompileOptions, withFolders } from './compile-options.ts';

export interface CardCompiler {
  /** The plugin that compiles, for example "jax-cuda13-pjrt 0.12.0.1". */
  readonly plugin: string;
  /**
   * From the cache where this very module was compiled for this card before.
   * @param mark of the plan whose step it is (`planMark`), by which estimates find it
   * @throws EngineError with the compiler's reason
   */
  compile(card: CardName, module: CompiledModule, mark?: string): Promise<CardProgramMemory & { readonly found: boolean }>;
}

const KEPT_CHARACTERS = 600;
/** So many cards of one machine. */
const topologyText = (cards: number): string => `1x1x${cards}`;

/**
 * Opens the plugin in this process; compiling happens on other threads and takes all cores, so this belongs in a worker.
 * @param folders for programs that never run: a file of their kernels, another compiler for these, and how products are computed. Their memory is
 * the same to the byte
 * @throws EngineError where no plugin that compiles for cards is installed
 */
export function openCardCompiler(cacheDir: string, folders: Pick<CompilerFolders, 'kernels' | 'toolkit' | 'products'> = {}): CardCompiler {
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
  return {
    plugin,
    compile: async (card, { text, replicas }, mark) => {
      const kept = programs.find(card, { text, replicas });
      if (mark !== undefined) await programs.marks(card).note(mark);
      if (kept) return { ...kept, found: true };
      try {
        const memory = await compileNow(
          await topologyOf(card, replicas),
          text,
          withFolders(cardCompileOptions({ text, replicas }), { toolkit: cudaToolkit(installed), ...folders }),
        );
        await programs.keep(card, { text, replicas }, memory);
        return { ...memory, found: false };
      } catch (error) {
        const reason = messageOf(error).slice(0, KEPT_CHARACTERS);
        throw new EngineError(`${plugin} could not compile the program for ${cardCatalog[card].label}: ${reason}`, { cause: error });
      }
    },
  };
}

interface Topology {
  readonly addon: Addon;
  readonly handle: TopologyHandle;
}

async function openTopology(installed: InstalledPjrt, card: CardName, cards: number): Promise<Topology> {
  // Compiled from `engine/pjrt/native`; `Addon` is what it exports.
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

/** Operations of XLA that leave the device: each opcode is a text of its own in the binary form. */
const HOST_OPERATIONS = ['infeed', 'outfeed', 'send', 'recv', 'MoveToHost', 'MoveToDevice', 'xla_ffi_python_gpu_callback'] as const;

/** A field of text in a protobuf is its length and its characters. */
const hostOperations = (program: Uint8Array): string[] =>
  HOST_OPERATIONS.filter(name => Buffer.from(program).includes(Buffer.from([name.length, ...Buffer.from(name)])));
