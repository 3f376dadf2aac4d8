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
        ? `a GPU was asked for, and the engine is ${description.summary}. To install the CUDA build: rowtune engine install --variant cuda`
        : `the engine is ${description.summary}: add --device gpu`,
    );
}

/** The memory of the process on a CPU; on a GPU all that its driver counts, since allocators keep what they freed: the end shows the peak. */
export function takenMemory(device: Device): ReturnType<typeof processMemory> {
  if (device === 'cpu') return processMemory();
  const asked = ['--id=0', '--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  const bytes = Number.parseInt(execFileSync('nvidia-smi', asked, { encoding: 'utf8' }), 10) * 2 ** 20;
  return { residentBytes: bytes, peakBytes: bytes, codeBytes: 0 };
}
