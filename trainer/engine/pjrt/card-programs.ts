/**
 * The programs that were compiled for cards, kept next to those of this machine: estimates find their memory without opening the plugin.
 */
import { z } from 'zod';
import { cardOfTarget, type TargetName, targetMaker } from '../../catalog/tpus.ts';
import type { KnownPrograms } from '../../graph/known-programs.ts';
import { type InstalledPjrt, locateCardCompiler } from '../install/pjrt-folder.ts';
import { describeTarget } from './card-description.ts';
import { type CompiledModule, NO_MODULE } from './compile-options.ts';
import { compiledMemorySchema, readRecord, workingBytesBy } from './compiled-memory.ts';
import { marksIn, openProgramCache, type ProgramKey } from './program-cache.ts';
import { targetCompileOptions } from './target-options.ts';

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
  find(card: TargetName, module: CompiledModule): CardProgramMemory | undefined;
  keep(card: TargetName, module: CompiledModule, memory: CardProgramMemory): Promise<void>;
  /** Returns the folder of the lock that the process which compiles a program holds. */
  lockOf(card: TargetName, module: CompiledModule): string;
  marks(card: TargetName): Pick<KnownPrograms, 'mayHave' | 'note'>;
}

export function cardPrograms(cacheDir: string, plugin: string): CardPrograms {
  const cache = openProgramCache(cacheDir);
  const target = (card: TargetName, module: CompiledModule): Omit<ProgramKey, 'text'> => ({
    plugin,
    device: `${FORMAT} ${describeTarget(card)}`,
    options: targetCompileOptions(card, module),
  });
  const keyOf = (card: TargetName, module: CompiledModule): ProgramKey => ({ ...target(card, module), text: module.text });
  return {
    find: (card, module) => readRecord(memorySchema, cache.find(keyOf(card, module))),
    keep: (card, module, memory) => cache.keep(keyOf(card, module), Buffer.from(JSON.stringify(memory))),
    lockOf: (card, module) => cache.lockOf(keyOf(card, module)),
    marks: card => marksIn(cache, target(card, NO_MODULE)),
  };
}

/** Returns the steps that were compiled for a card; undefined if no compiler for cards is installed. */
export function openCardPrograms(cacheDir: string, card: TargetName): KnownPrograms | undefined {
  const installed = locateCardCompiler(cacheDir, targetMaker(card));
  if (!installed) return undefined;
  const programs = cardPrograms(cacheDir, cardPlugin(installed));
  return {
    workingBytes: workingBytesBy((text, replicas) => programs.find(card, { text, replicas }), cardOfTarget(card)),
    ...programs.marks(card),
    ofCard: true,
  };
}
