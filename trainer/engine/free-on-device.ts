/** The memory of a GPU that a run may take: other programs may hold some of it. */
import type { Engine, EngineDescription } from './engine.ts';
import { freeOnOnlyGpu } from './install/toolchain.ts';

/**
 * Returns bytes; undefined if the engine computes on a CPU, or the memory is unknown.
 * @param ask returns the free memory of the machine's GPU with this name; undefined if the driver does not report it, or there are several
 * GPUs
 */
export async function freeOnDevice(
  { description: { gpu }, deviceMemory }: Pick<Engine, 'deviceMemory'> & { readonly description: Pick<EngineDescription, 'gpu'> },
  ask: (name: string) => Promise<number | undefined> = freeOnOnlyGpu,
): Promise<number | undefined> {
  if (gpu?.memoryBytes === undefined) return undefined;
  const { used, pool = used } = deviceMemory?.() ?? { used: 0 };
  const own = gpu.memoryBytes - used;
  const free = await ask(gpu.name);
  // The driver counts memory that the engine's allocator has reserved but not used: the run may take that as well.
  return free === undefined ? own : Math.min(own, free + pool - used);
}
