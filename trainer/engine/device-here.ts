/** The device of this machine that an engine computes on, as far as it is known without opening the engine. */
import { type DeviceFacts, type DeviceHere, deviceCard } from '../catalog/device-card.ts';
import type { EngineName } from '../catalog/engines.ts';
import { gpuName, hasGpu } from '../machine/machine.ts';
import { locatePjrt } from './install/pjrt-folder.ts';
import type { DeviceKind } from './install/pjrt-plugins.ts';
import { keptDeviceFacts } from './pjrt/device-facts.ts';

interface Knower {
  /** Whether the engine that is installed computes on a GPU; undefined where an NVIDIA GPU decides that. */
  readonly usesGpu: (cacheDir: string) => boolean | undefined;
  /** The GPU that it has computed on. */
  readonly kept: (cacheDir: string) => DeviceFacts | undefined;
}

/** The engines whose memory on a GPU is estimated. */
const knowers: Readonly<Partial<Record<EngineName, Knower>>> = {
  pjrt: { usesGpu: pluginUsesGpu, kept: keptDeviceFacts },
};

/** A plugin for another vendor's GPU was installed because there is one; NVIDIA's may also be there to compile. */
const gpuOfPlugin: Readonly<Record<DeviceKind, boolean | undefined>> = {
  cpu: false,
  amd: true,
  intel: true,
  apple: true,
  nvidia: undefined,
  any: undefined,
};

function pluginUsesGpu(cacheDir: string): boolean | undefined {
  const installed = locatePjrt(cacheDir);
  return installed && gpuOfPlugin[installed.plugin.device];
}

/** By an earlier run of the engine, or else by the files of the driver, which have the name of a GPU. */
export function deviceHere(engine: EngineName, cacheDir: string, around = { hasGpu, gpuName }): DeviceHere {
  const knower = knowers[engine];
  if (!(knower?.usesGpu(cacheDir) ?? around.hasGpu())) return { device: 'cpu' };
  return knower ? { device: 'gpu', gpu: deviceCard(knower.kept(cacheDir) ?? { name: around.gpuName() ?? '' }) } : { device: 'gpu' };
}
