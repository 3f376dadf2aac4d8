/** Which device computes, and how much memory of it is taken. */
import { execFileSync } from 'node:child_process';
import { type Engine, EngineError } from '../trainer/engine/engine.ts';
import { processMemory } from '../trainer/machine/process-memory.ts';

export type Device = 'cpu' | 'gpu';

/** @throws EngineError where a GPU is asked for and the engine computes on the CPU */
export function checkDevice({ description }: Engine, device: Device): void {
  if (description.device !== device)
    throw new EngineError(
      device === 'gpu'
        ? `a GPU was asked for, and the engine is ${description.summary}. To install one that computes there: rowtune engine install --variant cuda, or --variant pjrt`
        : `the engine is ${description.summary}: add --device gpu`,
    );
}

/**
 * The memory of the process on a CPU. On a GPU what its allocator counts; where the engine does not know that, all that the driver counts:
 * allocators keep what they freed, so the end shows the peak.
 */
export function takenMemory(device: Device, { deviceMemory }: Pick<Engine, 'deviceMemory'>): ReturnType<typeof processMemory> {
  if (device === 'cpu') return processMemory();
  const counted = deviceMemory?.();
  if (counted?.peak !== undefined) return { residentBytes: counted.used, peakBytes: counted.peak, codeBytes: 0 };
  const asked = ['--id=0', '--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  const bytes = Number.parseInt(execFileSync('nvidia-smi', asked, { encoding: 'utf8' }), 10) * 2 ** 20;
  return { residentBytes: bytes, peakBytes: bytes, codeBytes: 0 };
}
