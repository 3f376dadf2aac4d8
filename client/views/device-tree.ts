/** The view *Devices* as plain data: engines and GPUs, free memory and disk, and what can be installed. */

import type { EngineStatus } from '../../trainer/protocol/messages/rpc-messages.ts';
import { byteSize } from '../../trainer/protocol/text/format.ts';
import { COMMANDS } from '../commands/command-ids.ts';

export interface DeviceItem {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly tooltip: readonly string[];
  readonly icon: string;
  /** The command that a click runs. */
  readonly command?: { readonly id: string; readonly title: string };
}

/** Threshold for a warning: with less free memory, training even a small model is likely to fail. */
const LOW_MEMORY_BYTES = 2e9;

/** @param isRemote true if the daemon is on another machine, where this window can't install anything */
export function deviceTree(status: EngineStatus, isRemote: boolean): readonly DeviceItem[] {
  const { machine, installedEngines, freeDiskBytes, gpu } = status;
  const { cpu, memory } = machine;
  const isLow = memory.availableBytes < LOW_MEMORY_BYTES;
  const install = isRemote ? {} : { command: { id: COMMANDS.installEngine, title: 'Install Engine' } };
  const missing: DeviceItem = {
    id: 'engine-missing',
    label: 'TensorFlow is not installed',
    description: isRemote ? "on the daemon's machine" : 'Install Engine',
    tooltip: [
      'Until then, the slower portable engine is used.',
      isRemote ? 'Run on that machine: rowtune engine install' : 'Click to install TensorFlow.',
    ],
    icon: 'cloud-download',
    ...install,
  };
  const hasCuda = installedEngines.some(name => name.includes('cuda'));
  const free = gpu?.freeBytes === undefined ? [] : [`${byteSize(gpu.freeBytes)} free`];
  return [
    ...(installedEngines.length === 0
      ? [missing]
      : installedEngines.map(name => ({
          id: name,
          label: engineLabel(name),
          description: 'engine',
          tooltip: [name],
          icon: 'server-process',
        }))),
    ...(gpu === undefined
      ? []
      : [
          {
            id: 'gpu',
            label: gpu.name,
            description: ['GPU', ...free, ...(hasCuda ? [] : ['its engine is not installed'])].join(' · '),
            tooltip: [`driver ${gpu.driver}`],
            icon: 'circuit-board',
            ...(hasCuda ? {} : install),
          },
        ]),
    {
      id: 'cpu',
      label: cpu.model,
      description: [`${cpu.cores} ${cpu.cores === 1 ? 'core' : 'cores'}`, ...cpu.features].join(' · '),
      tooltip: [cpu.model],
      icon: 'chip',
    },
    {
      id: 'memory',
      label: `${byteSize(memory.availableBytes)} of memory free`,
      description: `of ${byteSize(memory.totalBytes)}`,
      tooltip: [isLow ? 'Little memory is free. Close other programs before you train.' : 'Memory available for training.'],
      icon: isLow ? 'warning' : 'dashboard',
    },
    {
      id: 'disk',
      label: `${byteSize(freeDiskBytes)} of disk free`,
      description: 'where models and engines are kept',
      tooltip: ['Free space on the disk that holds the cache.'],
      icon: 'database',
    },
  ];
}

/** tensorflow-2.21.0-cpu → TensorFlow 2.21.0 (cpu) */
export const engineLabel = (name: string): string =>
  name.replace(
    /^tensorflow-([\d.]+)-(\w+)$/,
    (_, version: string, build: string) => `TensorFlow ${version} (${build === 'cuda' ? 'CUDA' : 'CPU'})`,
  );
