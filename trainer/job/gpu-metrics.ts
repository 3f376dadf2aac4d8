/** GPU memory in the metrics of a run. */
import type { Engine, EngineDescription } from '../engine/engine.ts';

/** Bytes by metric name, counted by the device's own allocator; empty if the tensors are in the memory of the process. */
export function gpuMetrics({
  description,
  deviceMemory,
}: Pick<Engine, 'deviceMemory'> & { readonly description: Pick<EngineDescription, 'device'> }): Readonly<Record<string, number>> {
  const found = description.device === 'gpu' ? deviceMemory?.() : undefined;
  return { ...(found && { gpu_memory_bytes: found.used }), ...(found?.peak !== undefined && { gpu_memory_peak_bytes: found.peak }) };
}
