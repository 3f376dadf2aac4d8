/**
 * The programs that were compiled for cards, kept next to those of this machine: estimates find their memory without opening the plugin.
 */
import { z } from 'zod';
import { type CardName, cardCatalog, makerOf } from '../../catalog/cards.ts';
import type { KnownPrograms } from '../../graph/known-programs.ts';
import { type InstalledPjrt, locateCardCompiler } from '../install/pjrt-folder.ts';
import { describeCard } from './card-description.ts';
import { type CompiledModule, cardCompileOptions, NO_MODULE } from './compile-options.ts';
import { compiledMemorySchema, readRecord, workingBytesBy } from './compiled-memory.ts';
import { marksIn, openProgramCache, type ProgramKey } from './program-cache.ts';

const memorySchema = compiledMemorySchema.extend({
  /** Operations of the optimized program that leave the device. */
  hostOperations: z.array(z.string()),
  seconds: z.number(),
});

/** Bytes of a program on a card, and the time it took to compile. */
export type CardProgramMemory = z.infer<typeof memorySchema>;

/** Changes when the stored format changes. */
const FORMAT = 'rowtune-card-1';

/** Returns the plugin's name and version, for example "jax-cuda13-pjrt 0.12.0.1". */
export const cardPlugin = ({ plugin: { wheel } }: InstalledPjrt): string => `${wheel.project} ${wheel.version}`;

export interface CardPrograms {
  find(card: CardName, module: CompiledModule): CardProgramMemory | undefined;
  keep(card: CardName, module: CompiledModule, memory: CardProgramMemory): Promise<void>;
  /** Returns the folder of the lock that the process which compiles a program holds. */
  lockOf(card: CardName, module: CompiledModule): string;
  marks(card: CardName): Pick<KnownPrograms, 'mayHave' | 'note'>;
}

export function cardPrograms(cacheDir: string, plugin: string): CardPrograms {
  const cache = openProgramCache(cacheDir);
  const target = (card: CardName, module: CompiledModule): Omit<ProgramKey, 'text'> => ({
    plugin,
    device: `${FORMAT} ${describeCard(card)}`,
    options: cardCompileOptions(module),
  });
  const keyOf = (card: CardName, module: CompiledModule): ProgramKey => ({ ...target(card, module), text: module.text });
  return {
    find: (card, module) => readRecord(memorySchema, cache.find(keyOf(card, module))),
    keep: (card, module, memory) => cache.keep(keyOf(card, module), Buffer.from(JSON.stringify(memory))),
    lockOf: (card, module) => cache.lockOf(keyOf(card, module)),
    marks: card => marksIn(cache, target(card, NO_MODULE)),
  };
}

/** Returns the steps that were compiled for a card; undefined if no compiler for cards is installed. */
export function openCardPrograms(cacheDir: string, card: CardName): KnownPrograms | undefined {
  const installed = locateCardCompiler(cacheDir, makerOf(card));
  if (!installed) return undefined;
  const programs = cardPrograms(cacheDir, cardPlugin(installed));
  return {
    workingBytes: workingBytesBy((text, replicas) => programs.find(card, { text, replicas }), cardCatalog[card]),
    ...programs.marks(card),
    ofCard: true,
  };
}
