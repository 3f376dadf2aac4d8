/** The memory of a GPU that a run may take: other programs may hold some of it. */
import type { Engine, EngineDescription } from './engine.ts';
import { freeOnOnlyGpu } from './install/toolchain.ts';

/**
 * Returns bytes; undefined where the engine computes on the processor, and where nothing says them.
 * @param ask for the free memory of the machine's GPU; undefined where the driver does not say it, or there are several
 */
export async function freeOnDevice(
  { description: { gpu }, deviceMemory }: Pick<Engine, 'deviceMemory'> & { readonly description: Pick<EngineDescription, 'gpu'> },
  ask: () => Promise<number | undefined> = freeOnOnlyGpu,
): Promise<number | undefined> {
  if (gpu?.memoryBytes === undefined) return undefined;
  const { used, pool = used } = deviceMemory?.() ?? { used: 0 };
  const own = gpu.memoryBytes - used;
  const free = await ask();
  // The driver counts memory that the engine has taken and given to nothing: the run may take that, too.
  return free === undefined ? own : Math.min(own, free + pool - used);
}
