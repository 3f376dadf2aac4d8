/** Looks for accelerators that a PJRT plugin supports, and chooses the plugin accordingly. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import { type DeviceKind, type PjrtPlugin, type PjrtVariant, pjrtPlugins, pjrtVariants } from './pjrt-plugins.ts';
import { knownNvidiaGpu, type NvidiaGpu } from './toolchain.ts';

/** A device that can be used, or the reason why it cannot. */
type Finding = { readonly found: string } | { readonly missing: string };

export interface Surroundings {
  readonly gpu: NvidiaGpu | undefined;
  readonly platform: string;
  /** Returns a file's content, or '' for a device file; undefined if the file does not exist. */
  readonly read: (file: string) => string | undefined;
  readonly list: (folder: string) => readonly string[];
}

/** The files of this machine. */
export const filesHere: Pick<Surroundings, 'read' | 'list'> = {
  read: file => {
    try {
      // Only the existence of a device file is checked: reading one could block.
      return file.startsWith('/dev/') ? (existsSync(file) ? '' : undefined) : readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  },
  list: folder => {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  },
};

export const surroundings = async (): Promise<Surroundings> => ({
  gpu: await knownNvidiaGpu(),
  platform: `${process.platform} ${process.arch}`,
  ...filesHere,
});

/** AMD's compute driver. */
const AMD_DEVICE = '/dev/kfd';
const GRAPHICS_FOLDER = '/sys/class/drm';
const INTEL_VENDOR = '0x8086';
const PCI_FOLDER = '/sys/bus/pci/devices';
const GOOGLE_VENDOR = '0x1ae0';
/** TPUs by the device on the bus, as in JAX's `jax/_src/hardware_utils.py`: other devices of Google's are network adapters and disks. */
const TPU_OF_DEVICE: Readonly<Record<string, string>> = {
  '0x0027': 'TPU v3',
  '0x005e': 'TPU v4',
  '0x0062': 'TPU v5p',
  '0x0063': 'TPU v5e',
  '0x006f': 'TPU v6e',
  '0x0076': 'TPU7x',
};

/** Looks for a plugin's device. @param plugin the plugin */
export function findDevice(plugin: Pick<PjrtPlugin, 'device' | 'oldestDriver' | 'oldestCapability'>, around: Surroundings): Finding {
  const { device } = plugin;
  switch (device) {
    case 'nvidia':
      return findNvidia(plugin, around);
    case 'amd':
      return around.read(AMD_DEVICE) === undefined
        ? { missing: `no AMD GPU was found: ${AMD_DEVICE}, which AMD's driver creates, does not exist` }
        : { found: 'an AMD GPU' };
    case 'intel': {
      const vendors = around
        .list(GRAPHICS_FOLDER)
        .filter(name => name.startsWith('renderD'))
        .map(name => around.read(path.join(GRAPHICS_FOLDER, name, 'device', 'vendor'))?.trim());
      return vendors.includes(INTEL_VENDOR)
        ? { found: 'an Intel GPU' }
        : { missing: `no Intel GPU was found: no renderer in ${GRAPHICS_FOLDER} has the vendor ${INTEL_VENDOR}` };
    }
    case 'apple':
      return around.platform === 'darwin arm64' ? { found: "Apple's GPU" } : { missing: `this machine is ${around.platform}` };
    case 'google':
      return findTpu(around);
    case 'cpu':
    case 'any':
      return { found: 'the processor' };
  }
}

/** Looks for TPUs on the PCI bus. */
export function findTpu({ list, read }: Pick<Surroundings, 'read' | 'list'>): Finding {
  const chips = list(PCI_FOLDER).flatMap(name => {
    const factOf = (file: string): string => read(path.join(PCI_FOLDER, name, file))?.trim() ?? '';
    return factOf('vendor') === GOOGLE_VENDOR ? (TPU_OF_DEVICE[factOf('device')] ?? []) : [];
  });
  return chips.length > 0
    ? { found: `${chips.length === 1 ? 'a' : chips.length} ${chips[0]}` }
    : { missing: `no TPU was found: no device in ${PCI_FOLDER} has the vendor ${GOOGLE_VENDOR} and the number of a TPU` };
}

function findNvidia(
  { oldestDriver = 0, oldestCapability = 0 }: Pick<PjrtPlugin, 'oldestDriver' | 'oldestCapability'>,
  { gpu }: Surroundings,
): Finding {
  if (!gpu) return { missing: 'no NVIDIA GPU was found: nvidia-smi does not run, or lists none' };
  const driver = Number.parseInt(gpu.driver, 10);
  if (Number.isNaN(driver)) return { missing: `the version of the NVIDIA driver is unknown, and ${oldestDriver} or later is needed` };
  if (driver < oldestDriver) return { missing: `${gpu.name} has driver ${gpu.driver}, and ${oldestDriver} or later is needed` };
  if (Number(gpu.capability) < oldestCapability)
    return { missing: `${gpu.name} has compute capability ${gpu.capability}, and ${oldestCapability} or later is needed` };
  return { found: `${gpu.name} (driver ${gpu.driver})` };
}

const isAccelerator = (device: DeviceKind): boolean => device !== 'cpu';

/**
 * Returns the plugin for the accelerator that is present: for example, the newest CUDA that the driver supports.
 * @throws EngineError that lists what was looked for if there is none
 */
export function choosePlugin(around: Surroundings): { readonly variant: PjrtVariant; readonly found: string } {
  const reasons: string[] = [];
  for (const variant of pjrtVariants) {
    const plugin = pjrtPlugins[variant];
    if (!isAccelerator(plugin.device) || !plugin.platforms.includes(around.platform)) continue;
    const finding = findDevice(plugin, around);
    if ('found' in finding) return { variant, found: finding.found };
    reasons.push(`${variant}: ${finding.missing}`);
  }
  const looked = reasons.length === 0 ? `no plugin runs on ${around.platform}` : reasons.join('; ');
  throw new EngineError(
    `no accelerator that a PJRT plugin computes on was found (${looked}). To try the engine on the processor: rowtune engine install --variant pjrt-cpu`,
  );
}
