/** Chooses the GPU of each process if several on a machine train together: without a choice, all of them would take the first one. */
import { readdirSync } from 'node:fs';
import { elementAt } from '../../narrow.ts';
import type { World } from './world.ts';

export interface RankGpu {
  /** Value for CUDA_VISIBLE_DEVICES. */
  readonly visible: string;
  /** Message for the log. */
  readonly message: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns one of the GPUs that the user, the launcher or the daemon has made visible, or of all GPUs. Undefined if there is no choice: no
 * GPU, one process on this machine, or one visible GPU.
 * @param gpus the number of GPUs of this machine
 */
export function chooseRankGpu({ rank, localRank, localSize }: World, environment: Environment, gpus: number): RankGpu | undefined {
  const all = visibleGpus(environment, gpus);
  // A launcher that gives each process a GPU leaves no choice, even if all processes have the same one.
  if (localSize === 1 || all.length <= (environment.CUDA_VISIBLE_DEVICES === undefined ? 0 : 1)) return undefined;
  const place = localRank % all.length;
  const gpu = elementAt(all, place);
  const sharers = Math.ceil((localSize - place) / all.length);
  const shared = sharers > 1 ? `, which ${sharers} processes share` : '';
  return { visible: gpu, message: `rank ${rank} uses GPU ${gpu} of ${all.length}${shared} (CUDA_VISIBLE_DEVICES is set to ${gpu})` };
}

/** Returns the GPUs that a process sees, in the notation of CUDA_VISIBLE_DEVICES. @param gpus the number of GPUs of this machine */
export const visibleGpus = ({ CUDA_VISIBLE_DEVICES: visible }: Environment, gpus: number): readonly string[] =>
  visible === undefined ? Array.from({ length: gpus }, (_, i) => String(i)) : visible.split(',').filter(name => name.trim() !== '');

const DRIVER = '/proc/driver/nvidia/gpus';

/** Returns the number of NVIDIA GPUs of this machine, according to the driver's files. */
export function countGpus(): number {
  try {
    return readdirSync(DRIVER).length;
  } catch {
    return 0;
  }
}
