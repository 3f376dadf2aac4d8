/** The PJRT engine: programs compiled by an accelerator's own compiler, through its vendor's plugin. */

import { deviceCard } from '../../catalog/device-card.ts';
import { paddedFor } from '../../catalog/tpus.ts';
import { cpuFeatures } from '../../machine/machine.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { type Engine, type EngineDescription, EngineError } from '../engine.ts';
import { engineRequire } from '../install/engine-folder.ts';
import {
  cudaToolkit,
  type InstalledPjrt,
  installCommand,
  locatePjrt,
  pjrtAddonIsCurrent,
  pjrtAddonPath,
  pjrtLibrary,
  preloadedLibraries,
} from '../install/pjrt-folder.ts';
import { clientOptions } from '../install/pjrt-plugins.ts';
import { pluginVariables } from '../install/plugin-variables.ts';
import { joinGroup } from '../mpi/group.ts';
import type { Addon, ClientDescription } from './addon.ts';
import { keepDevice, openKnownPrograms, pluginOf } from './compiled-memory.ts';
import { openCompiler } from './compiler.ts';
import { factsOfDevice, keepDeviceFacts } from './device-facts.ts';
import { openProgramCache } from './program-cache.ts';
import { type Device, PjrtSession } from './session.ts';
import { tunedFolder } from './tuned-folder.ts';

interface OpenParams {
  readonly cacheDir: string;
  /** Receives one line for the user. */
  readonly log?: (line: string) => void;
  /** Number of devices to use; a CPU plugin divides the CPU into this many. */
  readonly devices?: number | undefined;
}

/** A PJRT engine whose sessions expose their internals. */
export interface PjrtEngine extends Engine {
  readonly device: Device;
  compile(...params: Parameters<Engine['compile']>): Promise<PjrtSession>;
}

/**
 * Opens the installed plugin in this process. Compiling and running use other threads.
 * @throws EngineError if no plugin is installed, or it does not load
 */
export async function openPjrt({ cacheDir, log = () => undefined, devices = 1 }: OpenParams): Promise<PjrtEngine> {
  const installed = locatePjrt(cacheDir);
  if (!installed)
    throw new EngineError(
      `no PJRT plugin is installed in ${cacheDir}; to install the one for this machine's accelerator, run: rowtune engine install --variant pjrt`,
    );
  const { folder, plugin } = installed;
  if (!pjrtAddonIsCurrent(folder))
    throw new EngineError(`the addon of ${installed.name} is that of another version of Rowtune; run: ${installCommand(installed)}`);
  try {
    // Compiled from this version's `engine/pjrt/native`, which `pjrtAddonIsCurrent` has just verified.
    const addon = engineRequire(folder)(pjrtAddonPath(folder)) as Addon;
    Object.assign(process.env, pluginVariables(plugin, installed.manifest));
    const client = await addon.open(pjrtLibrary(installed), clientOptions(plugin, devices), preloadedLibraries(installed));
    const found = addon.describe(client);
    const isCpu = found.platform === 'cpu';
    const target = {
      plugin: pluginOf(installed),
      device: [found.platform, found.version, found.device.kind, ...(isCpu ? cpuFeatures() : [])].join(' '),
    };
    const cache = openProgramCache(cacheDir);
    await keepDevice(cache, target);
    const facts = isCpu ? undefined : factsOfDevice(found, addon.deviceMemory(client)?.limit);
    if (facts) await keepDeviceFacts(cache, target.plugin, facts);
    const folders = {
      toolkit: cudaToolkit(installed),
      tuned: plugin.tunes ? await tunedFolder(cacheDir, target) : undefined,
    };
    const compiler = openCompiler({ addon, client, cache, target, folders, plugin, log });
    const gpu = facts && deviceCard(facts);
    const card = paddedFor(gpu);
    const device: Device = { addon, client, compiler, card };
    return {
      description: { ...describe(found, installed), ...(gpu && { gpu }) },
      device,
      devices: found.devices,
      deviceMemory: () => addon.deviceMemory(client),
      known: openKnownPrograms(cacheDir, card),
      join: library => joinGroup(library, addon),
      compile: async program => new PjrtSession(device, program),
    };
  } catch (error) {
    const needs = plugin.needs === undefined ? '' : `. It needs ${plugin.needs}`;
    throw new EngineError(`${installed.name} does not load: ${messageOf(error)}${needs}`, { cause: error });
  }
}

function describe({ platform, version, device, major, minor }: ClientDescription, { plugin }: InstalledPjrt): EngineDescription {
  const isCpu = platform === 'cpu';
  return {
    name: 'pjrt',
    summary: `PJRT ${major}.${minor}, ${plugin.wheel.project} ${plugin.wheel.version}, ${isCpu ? 'CPU' : device.kind}`,
    device: isCpu ? 'cpu' : 'gpu',
    fuses: false,
    narrowConvolutions: !isCpu,
    // cuDNN comes with the CUDA plugins.
    fusedAttention: platform === 'cuda',
    versions: {
      pjrt: `${major}.${minor}`,
      plugin: `${plugin.wheel.project} ${plugin.wheel.version}`,
      platform: version,
      node: process.versions.node,
    },
  };
}
