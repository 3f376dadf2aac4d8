/**
 * The memory of compiled programs, kept next to them: an estimate finds the numbers of the device's own compiler without opening the plugin.
 */
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
import { withApart } from './order/host-weights.ts';
import { marksIn, openProgramCache, type ProgramCache, type ProgramKey } from './program-cache.ts';

/** Bytes of a compiled program. */
export const compiledMemorySchema = z.object({
  arguments: z.number(),
  outputs: z.number(),
  /** Outputs that lie where an argument was. */
  aliased: z.number(),
  temporaries: z.number(),
  /** 0 where the plugin does not count it. */
  code: z.number(),
  /** In the memory of the host instead of the device's. */
  host: z.number(),
});

export type CompiledMemory = z.infer<typeof compiledMemorySchema>;

/** Undefined for what is not there, or was kept by another version. */
export function readRecord<T>(schema: z.ZodType<T>, kept: Uint8Array | undefined): T | undefined {
  try {
    return kept && schema.parse(JSON.parse(Buffer.from(kept).toString()));
  } catch {
    return undefined;
  }
}

type Target = Pick<ProgramKey, 'plugin' | 'device'>;

const memoryKey = (key: ProgramKey): ProgramKey => ({ ...key, device: `memory of ${key.device}` });

/** Keeps the memory of a program, unless it is there. */
export async function keepMemory(cache: ProgramCache, key: ProgramKey, count: () => CompiledMemory): Promise<void> {
  if (readRecord(compiledMemorySchema, cache.find(memoryKey(key)))) return;
  try {
    await cache.keep(memoryKey(key), Buffer.from(JSON.stringify(count())));
  } catch {
    // Not every plugin counts it; estimates are by a model then.
  }
}

/** The device of a plugin is known to whoever has opened it. Machines may share a cache, so each has its own record. */
const deviceKey = (plugin: string): ProgramKey => ({ plugin, device: hostname(), options: new Uint8Array(0), text: 'device' });

export async function keepDevice(cache: ProgramCache, { plugin, device }: Target): Promise<void> {
  const key = deviceKey(plugin);
  if (Buffer.from(cache.find(key) ?? []).toString() !== device) await cache.keep(key, Buffer.from(device));
}

/** The plugin and the sizes of the libraries that it computes with: a compiled program names algorithms of cuBLAS by their place in a list of its version. */
export function pluginOf(installed: InstalledPjrt): string {
  const { project, version, sha256 } = installed.plugin.wheel;
  const sizes = preloadedLibraries(installed).map(file => statSync(file).size);
  return [project, version, sha256, ...sizes].join(' ');
}

/**
 * The programs that were compiled for this machine's device. Undefined where no plugin is installed, or none has computed here.
 * @param card the numbers of the device, if it is a GPU
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
 * @param find the memory of a program, on one device, by the text of its module and the number of devices that run it
 * @param card the numbers of the device, if it is a GPU
 */
export const workingBytesBy =
  (
    find: (text: string, replicas: number | undefined) => CompiledMemory | undefined,
    card: SplittingCard | undefined,
  ): KnownPrograms['workingBytes'] =>
  (signature, variables, places) => {
    const specs = withApart(new Map(variables.map(spec => [spec.name, spec])), places);
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

/** Bytes that wait on the device, while a part runs, for parts behind it. */
function passedBy(parts: readonly SumPart[], at: number): number {
  const made = new Set(parts.slice(0, at).flatMap(({ kept, sums }) => [...kept, ...sums.map(({ sum }) => sum)]));
  const own = new Set(elementAt(parts, at).given);
  const waiting = new Set(parts.slice(at + 1).flatMap(({ given }) => given));
  return [...waiting].filter(node => made.has(node) && !own.has(node)).reduce((sum, node) => sum + byteSize(node), 0);
}
