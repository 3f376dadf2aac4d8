/** The device of this machine that an engine computes on, as far as it is known without opening the engine. */
import { type DeviceFacts, type DeviceHere, deviceCard } from '../catalog/device-card.ts';
import type { EngineName } from '../catalog/engines.ts';
import { gpuName, hasGpu } from '../machine/machine.ts';
import { locatePjrt } from './install/pjrt-folder.ts';
import { keptDeviceFacts } from './pjrt/device-facts.ts';

interface Knower {
  /** Whether the engine that is installed computes on a GPU, where there is one. */
  readonly usesGpu: (cacheDir: string) => boolean;
  /** The GPU that it has computed on. */
  readonly kept: (cacheDir: string) => DeviceFacts | undefined;
}

/** The engines whose memory on a GPU is estimated. */
const knowers: Readonly<Partial<Record<EngineName, Knower>>> = {
  pjrt: { usesGpu: cacheDir => locatePjrt(cacheDir)?.plugin.device !== 'cpu', kept: keptDeviceFacts },
};

/** By an earlier run of the engine, or else by the files of the driver, which have the name of a GPU. */
export function deviceHere(engine: EngineName, cacheDir: string, around = { hasGpu, gpuName }): DeviceHere {
  const knower = knowers[engine];
  if (!around.hasGpu() || knower?.usesGpu(cacheDir) === false) return { device: 'cpu' };
  return knower ? { device: 'gpu', gpu: deviceCard(knower.kept(cacheDir) ?? { name: around.gpuName() ?? '' }) } : { device: 'gpu' };
}
