/** Checks which device computes, and reads how much of its memory is used. */
import { execFileSync } from 'node:child_process';
import { type Engine, EngineError } from '../trainer/engine/engine.ts';
import { processMemory } from '../trainer/machine/process-memory.ts';

export type Device = 'cpu' | 'gpu';

/** @throws EngineError if a GPU was requested and the engine computes on the CPU */
export function checkDevice({ description }: Engine, device: Device): void {
  if (description.device !== device)
    throw new EngineError(
      device === 'gpu'
        ? `--device gpu was given, but the engine is ${description.summary}. To install one that computes there: rowtune engine install --variant cuda, or --variant pjrt`
        : `the engine is ${description.summary}: add --device gpu`,
    );
}

/**
 * Returns the used memory: of the process on a CPU, and as its allocator counts on a GPU. If the engine does not know that, returns what
 * the driver counts; allocators keep freed memory, so the final value is the peak.
 */
export function takenMemory(device: Device, { deviceMemory }: Pick<Engine, 'deviceMemory'>): ReturnType<typeof processMemory> {
  if (device === 'cpu') return processMemory();
  const counted = deviceMemory?.();
  if (counted?.peak !== undefined) return { residentBytes: counted.used, peakBytes: counted.peak, codeBytes: 0 };
  const asked = ['--id=0', '--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  const bytes = Number.parseInt(execFileSync('nvidia-smi', asked, { encoding: 'utf8' }), 10) * 2 ** 20;
  return { residentBytes: bytes, peakBytes: bytes, codeBytes: 0 };
}
