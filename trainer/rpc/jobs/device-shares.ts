/** Decides which trainings of the daemon run at the same time: those whose shares of the machine do not overlap. */
import os from 'node:os';
import { countGpus, visibleGpus } from '../../engine/mpi/rank-gpu.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { DeviceShare } from '../../protocol/run/device-share.ts';

export interface Devices {
  readonly cores: number;
  /** The GPUs with their names in CUDA_VISIBLE_DEVICES. */
  readonly gpus: readonly string[];
}

/** The needs of a training that leaves part of the machine to others. */
export interface WantedShare {
  readonly cores: number;
  readonly gpus: number;
  /** Memory of this machine in bytes; 0 if a GPU has its own. */
  readonly bytes: number;
}

/** The cores and NVIDIA GPUs of this machine, or those to which the environment restricts this process. */
export const devicesOf = (environment: Readonly<Record<string, string | undefined>>): Devices => ({
  cores: os.availableParallelism(),
  gpus: visibleGpus(environment, countGpus()),
});

/**
 * The share that a recipe needs: a GPU for each process or device, with the same fraction of the cores as of the GPUs; without GPUs, the
 * threads that the recipe names. Undefined for a training that takes the whole machine.
 */
export function wantedShare(
  { processes, devices: each, threads }: Pick<Recipe, 'processes' | 'devices' | 'threads'>,
  devices: Devices,
): Omit<WantedShare, 'bytes'> | undefined {
  const all = devices.gpus.length;
  const gpus = Math.min(processes * each, all);
  if (gpus === all && (all > 0 || threads === 0)) return undefined;
  const cores = threads > 0 ? processes * threads : Math.max(1, Math.floor((devices.cores * gpus) / all));
  if (all === 0 && cores >= devices.cores) return undefined;
  return { cores: Math.min(cores, devices.cores), gpus };
}

/**
 * The share of a job next to the running ones; undefined if it has to wait.
 * @param wanted undefined for a job that takes the whole machine
 */
export function shareNextTo(
  running: readonly DeviceShare[],
  wanted: WantedShare | undefined,
  { cores, gpus }: Devices,
): Omit<DeviceShare, 'processes'> | undefined {
  const all = { allCores: cores, allGpus: gpus.length };
  if (wanted === undefined) return running.length > 0 ? undefined : { cores, gpus, ...all };
  const freeCores = cores - running.reduce((sum, share) => sum + share.cores, 0);
  const freeGpus = gpus.filter(gpu => !running.some(share => share.gpus.includes(gpu)));
  if (wanted.cores > freeCores || wanted.gpus > freeGpus.length) return undefined;
  return { cores: wanted.cores, gpus: freeGpus.slice(0, wanted.gpus), ...all };
}
