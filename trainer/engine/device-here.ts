/** The device of this machine that an engine computes on, as far as it is known without opening the engine. */
import { type DeviceFacts, type DeviceHere, deviceCard } from '../catalog/device-card.ts';
import type { EngineName } from '../catalog/engines.ts';
import { gpuName, hasGpu } from '../machine/machine.ts';
import { locatePjrt } from './install/pjrt-folder.ts';
import type { DeviceKind } from './install/pjrt-plugins.ts';
import { keptDeviceFacts } from './pjrt/device-facts.ts';

interface DeviceSource {
  /** Returns whether the installed engine computes on a GPU; undefined if that depends on whether there is an NVIDIA GPU. */
  readonly usesGpu: (cacheDir: string) => boolean | undefined;
  /** Returns the GPU that the engine has computed on before. */
  readonly kept: (cacheDir: string) => DeviceFacts | undefined;
}

/** Engines whose memory on a GPU is estimated. */
const deviceSources: Readonly<Partial<Record<EngineName, DeviceSource>>> = {
  pjrt: { usesGpu: pluginUsesGpu, kept: keptDeviceFacts },
};

/** True for plugins that imply a GPU: another vendor's plugin was installed because its GPU is present; NVIDIA's may only compile. */
const gpuOfPlugin: Readonly<Record<DeviceKind, boolean | undefined>> = {
  cpu: false,
  amd: true,
  intel: true,
  apple: true,
  google: true,
  nvidia: undefined,
  any: undefined,
};

function pluginUsesGpu(cacheDir: string): boolean | undefined {
  const installed = locatePjrt(cacheDir);
  return installed && gpuOfPlugin[installed.plugin.device];
}

/** Returns the device, from an earlier run of the engine, or else from the driver's files, which contain a GPU's name. */
export function deviceHere(engine: EngineName, cacheDir: string, around = { hasGpu, gpuName }): DeviceHere {
  const knower = deviceSources[engine];
  if (!(knower?.usesGpu(cacheDir) ?? around.hasGpu())) return { device: 'cpu' };
  return knower ? { device: 'gpu', gpu: deviceCard(knower.kept(cacheDir) ?? { name: around.gpuName() ?? '' }) } : { device: 'gpu' };
}
