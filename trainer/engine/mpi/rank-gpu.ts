/** The GPU of each process, where several of a machine train together: without a choice, all of them would take the first one. */
import { readdirSync } from 'node:fs';
import type { World } from './world.ts';

export interface RankGpu {
  /** For CUDA_VISIBLE_DEVICES. */
  readonly visible: string;
  /** For the log. */
  readonly message: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Undefined where there is nothing to choose: no GPU, one process on this machine, or a choice of the user or the launcher.
 * @param gpus the number of GPUs of this machine
 */
export function chooseRankGpu({ rank, localRank, localSize }: World, environment: Environment, gpus: number): RankGpu | undefined {
  if (gpus === 0 || localSize === 1 || environment.CUDA_VISIBLE_DEVICES !== undefined) return undefined;
  const gpu = localRank % gpus;
  const sharers = Math.ceil((localSize - gpu) / gpus);
  const shared = sharers > 1 ? `, which ${sharers} processes share` : '';
  return { visible: String(gpu), message: `rank ${rank} uses GPU ${gpu} of ${gpus}${shared} (CUDA_VISIBLE_DEVICES is set to ${gpu})` };
}

const DRIVER = '/proc/driver/nvidia/gpus';

/** The NVIDIA GPUs of this machine, by the driver's own files. */
export function countGpus(): number {
  try {
    return readdirSync(DRIVER).length;
  } catch {
    return 0;
  }
}
