/**
 * The properties of the device that a plugin computes on, stored next to its programs: an estimate knows them without opening the plugin.
 */
import { hostname } from 'node:os';
import { z } from 'zod';
import { CARD_RESERVED_BYTES } from '../../catalog/cards.ts';
import { type DeviceFacts, isTpuDevice } from '../../catalog/device-card.ts';
import { locatePjrt } from '../install/pjrt-folder.ts';
import type { ClientDescription } from './addon.ts';
import { pluginOf, readRecord } from './compiled-memory.ts';
import { openProgramCache, type ProgramCache, type ProgramKey } from './program-cache.ts';

/** Attributes of XLA's GPU devices (`StreamExecutorGpuTopologyDescription::SetupDeviceDescription`). */
const gpuAttributes = z.object({
  compute_capability: z.string().optional().catch(undefined),
  core_count: z.number().optional().catch(undefined),
});

/** Returns the properties of the first device. @param limit bytes that its allocator may take: all of the device's (`MEMORY_AS_NEEDED`) */
export function factsOfDevice({ device }: Pick<ClientDescription, 'device'>, limit: number | undefined): DeviceFacts {
  const { compute_capability: capability, core_count: multiprocessors } = gpuAttributes.parse(device.attributes);
  // The limit of a TPU already leaves out what its runtime has reserved.
  const reserved = isTpuDevice(device.kind) ? 0 : CARD_RESERVED_BYTES;
  const memoryBytes = limit === undefined ? undefined : limit - reserved;
  return { name: device.kind, capability, multiprocessors, memoryBytes };
}

const factsSchema = z.object({
  name: z.string(),
  capability: z.string().optional(),
  multiprocessors: z.number().optional(),
  memoryBytes: z.number().optional(),
});

/** Returns the key of the record. Machines may share a cache, so each has its own. */
const factsKey = (plugin: string): ProgramKey => ({ plugin, device: hostname(), options: new Uint8Array(0), text: 'facts of the GPU' });

export async function keepDeviceFacts(cache: ProgramCache, plugin: string, facts: DeviceFacts): Promise<void> {
  const content = Buffer.from(JSON.stringify(facts));
  if (!content.equals(cache.find(factsKey(plugin)) ?? Buffer.alloc(0))) await cache.keep(factsKey(plugin), content);
}

/** Returns the properties of the GPU that the installed plugin has computed on; undefined if it has not computed on one here. */
export function keptDeviceFacts(cacheDir: string): DeviceFacts | undefined {
  const installed = locatePjrt(cacheDir);
  return installed && readRecord(factsSchema, openProgramCache(cacheDir).find(factsKey(pluginOf(installed))));
}
