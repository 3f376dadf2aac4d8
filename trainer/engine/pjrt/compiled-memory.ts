/** The memory use of compiled programs, stored next to them: an estimate finds the compiler's own figures without opening the plugin. */
import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import type { KnownPrograms } from '../../graph/known-programs.ts';
import { type SumPart, splitAtSums } from '../../graph/split-at-sums.ts';
import { byteSize } from '../../graph/types.ts';
import type { SplittingCard } from '../../graph/xla-split-sums.ts';
import { elementAt, valueFor } from '../../narrow.ts';
import { type InstalledPjrt, locatePjrt, preloadedLibraries } from '../install/pjrt-folder.ts';
import { compileOptions, NO_MODULE } from './compile-options.ts';
import { lowerSignature } from './lower.ts';
import { withSeparateParts } from './order/host-weights.ts';
import { marksIn, openProgramCache, type ProgramCache, type ProgramKey } from './program-cache.ts';

/** Memory of a compiled program in bytes. */
export const compiledMemorySchema = z.object({
  arguments: z.number(),
  outputs: z.number(),
  /** Outputs that share the buffer of an argument. */
  aliased: z.number(),
  temporaries: z.number(),
  /** 0 if the plugin does not count it. */
  code: z.number(),
  /** Bytes in the host's memory instead of the device's. */
  host: z.number(),
});

export type CompiledMemory = z.infer<typeof compiledMemorySchema>;

/** Parses a record; undefined if it is missing or was written by another version. */
export function readRecord<T>(schema: z.ZodType<T>, kept: Uint8Array | undefined): T | undefined {
  try {
    return kept && schema.parse(JSON.parse(Buffer.from(kept).toString()));
  } catch {
    return undefined;
  }
}

type Target = Pick<ProgramKey, 'plugin' | 'device'>;

const memoryKey = (key: ProgramKey): ProgramKey => ({ ...key, device: `memory of ${key.device}` });

/** Stores the memory of a program, unless it is already stored. */
export async function keepMemory(cache: ProgramCache, key: ProgramKey, count: () => CompiledMemory): Promise<void> {
  if (readRecord(compiledMemorySchema, cache.find(memoryKey(key)))) return;
  try {
    await cache.keep(memoryKey(key), Buffer.from(JSON.stringify(count())));
  } catch {
    // Not every plugin counts it; estimates then use a model.
  }
}

/**
 * Returns the key of the device record, which is written when a plugin is opened. Machines may share a cache, so each has its own record.
 */
const deviceKey = (plugin: string): ProgramKey => ({ plugin, device: hostname(), options: new Uint8Array(0), text: 'device' });

export async function keepDevice(cache: ProgramCache, { plugin, device }: Target): Promise<void> {
  const key = deviceKey(plugin);
  if (Buffer.from(cache.find(key) ?? []).toString() !== device) await cache.keep(key, Buffer.from(device));
}

/**
 * Returns the plugin and the sizes of the libraries that it uses: a compiled program refers to cuBLAS algorithms by their index in that
 * version's list.
 */
export function pluginOf(installed: InstalledPjrt): string {
  const { project, version, sha256 } = installed.plugin.wheel;
  const sizes = preloadedLibraries(installed).map(file => statSync(file).size);
  return [project, version, sha256, ...sizes].join(' ');
}

/**
 * Returns the programs that were compiled for this machine's device; undefined if no plugin is installed, or none has computed here.
 * @param card properties of the device, if it is a GPU
 */
export function openKnownPrograms(cacheDir: string, card: SplittingCard | undefined): KnownPrograms | undefined {
  const installed = locatePjrt(cacheDir);
  if (!installed) return undefined;
  const cache = openProgramCache(cacheDir);
  const plugin = pluginOf(installed);
  const device = cache.find(deviceKey(plugin));
  if (!device) return undefined;
  const target = { plugin, device: Buffer.from(device).toString() };
  return {
    workingBytes: workingBytesBy((text, replicas) => {
      const options = compileOptions({ text, replicas }, installed.plugin);
      return readRecord(compiledMemorySchema, cache.find(memoryKey({ ...target, options, text })));
    }, card),
    ...marksIn(cache, { ...target, options: compileOptions(NO_MODULE, {}) }),
  };
}

/**
 * Returns a function that finds the working bytes of a signature.
 * @param find returns the memory of a program on one device, given the text of its module and the number of devices that run it
 * @param card properties of the device, if it is a GPU
 */
export const workingBytesBy =
  (
    find: (text: string, replicas: number | undefined) => CompiledMemory | undefined,
    card: SplittingCard | undefined,
  ): KnownPrograms['workingBytes'] =>
  (signature, variables, places) => {
    const specs = withSeparateParts(new Map(variables.map(spec => [spec.name, spec])), places);
    const parts = splitAtSums(signature);
    let most = 0;
    for (const [i, part] of parts.entries()) {
      const { text, variables: names } = lowerSignature(part, specs, { places, card });
      const memory = find(text, part.replicas);
      if (!memory) return undefined;
      const { arguments: given, outputs, aliased, temporaries, code } = memory;
      const here = names.filter(name => !places?.has(name));
      const variableBytes = here.reduce((sum, name) => sum + byteSize(valueFor(specs, name)), 0);
      most = Math.max(most, given - variableBytes + outputs - aliased + temporaries + code + passedBy(parts, i));
    }
    return most;
  };

/** Returns the bytes on the device that later parts need, while a part runs. */
function passedBy(parts: readonly SumPart[], at: number): number {
  const made = new Set(parts.slice(0, at).flatMap(({ kept, sums }) => [...kept, ...sums.map(({ sum }) => sum)]));
  const own = new Set(elementAt(parts, at).given);
  const waiting = new Set(parts.slice(at + 1).flatMap(({ given }) => given));
  return [...waiting].filter(node => made.has(node) && !own.has(node)).reduce((sum, node) => sum + byteSize(node), 0);
}
