/** The memory of a GPU that a run may take: other programs may hold some of it. */
import type { Engine, EngineDescription } from './engine.ts';
import { freeOnOnlyGpu } from './install/toolchain.ts';

/**
 * Returns bytes; undefined where the engine computes on the processor, and where nothing says them.
 * @param ask for the free memory of the machine's GPU of this name; undefined where the driver does not report it, or there are several GPUs
 */
export async function freeOnDevice(
  { description: { gpu }, deviceMemory }: Pick<Engine, 'deviceMemory'> & { readonly description: Pick<EngineDescription, 'gpu'> },
  ask: (name: string) => Promise<number | undefined> = freeOnOnlyGpu,
): Promise<number | undefined> {
  if (gpu?.memoryBytes === undefined) return undefined;
  const { used, pool = used } = deviceMemory?.() ?? { used: 0 };
  const own = gpu.memoryBytes - used;
  const free = await ask(gpu.name);
  // The driver counts memory that the engine has taken and given to nothing: the run may take that, too.
  return free === undefined ? own : Math.min(own, free + pool - used);
}
