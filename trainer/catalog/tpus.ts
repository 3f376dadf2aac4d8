/**
 * TPUs for which a recipe can be estimated; they need not be present. Sizes are from Google's pages about each generation ("TPU
 * architecture", Cloud TPU documentation). Only their compiler knows the memory of a program: it stores a tensor in tiles of 8 × 128
 * elements, and no model of that is good enough.
 */
import { type CardEntry, type CardName, cardCatalog, type Maker, makerOf } from './cards.ts';
import { type DeviceCard, isTpuDevice } from './device-card.ts';
import { namesOf } from './entries.ts';

export interface TpuEntry {
  readonly label: string;
  /** The name of the generation in descriptions of topologies. */
  readonly generation: string;
  /** Dimensions of the network between chips. */
  readonly dimensions: 2 | 3;
  readonly memoryGib: number;
  /** Bytes that programs may use, as reported by libtpu 0.0.52 for one chip (`device_memory_bytes_limit`). */
  readonly usableBytes: number;
}

const entries = {
  'tpu-v4': { label: 'TPU v4', generation: 'v4', dimensions: 3, memoryGib: 32, usableBytes: 32_745_977_856 },
  'tpu-v5e': { label: 'TPU v5e', generation: 'v5e', dimensions: 2, memoryGib: 16, usableBytes: 16_909_336_064 },
  'tpu-v5p': { label: 'TPU v5p', generation: 'v5p', dimensions: 3, memoryGib: 96, usableBytes: 102_786_661_888 },
  'tpu-v6e': { label: 'TPU v6e', generation: 'v6e', dimensions: 2, memoryGib: 32, usableBytes: 33_546_042_880 },
} as const satisfies Readonly<Record<string, TpuEntry>>;

export type TpuName = keyof typeof entries;

export const tpuCatalog: Readonly<Record<TpuName, TpuEntry>> = entries;

export const tpuNames = namesOf(entries);

/** A device that programs are compiled for without having it. */
export type TargetName = CardName | TpuName;

/** Who makes such a device, and the compiler for it. */
export type TargetMaker = Maker | 'google';

export const isTpu = (name: TargetName): name is TpuName => name in tpuCatalog;

export const targetMaker = (name: TargetName): TargetMaker => (isTpu(name) ? 'google' : makerOf(name));

export const targetLabel = (name: TargetName): string => (isTpu(name) ? tpuCatalog[name] : cardCatalog[name]).label;

/** The card for whose compiler products are padded; undefined for a TPU. */
export const cardOfTarget = (name: TargetName): CardEntry | undefined => (isTpu(name) ? undefined : cardCatalog[name]);

/** Returns the device of a run if products are padded for it; undefined for a TPU. */
export const paddedFor = (device: DeviceCard | undefined): DeviceCard | undefined =>
  device !== undefined && isTpuDevice(device.name) ? undefined : device;

const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The TPU that a text names: "TPU v5e", "tpu-v5e", "v5e", or by Google's name of its machines, "v5litepod". */
export function findTpu(text: string): TpuName | undefined {
  const wanted = plain(text)
    .replace(/^cloud/, '')
    .replace(/^tpu/, '')
    .replace(/^(v\d)lite(pod)?$/, '$1e');
  return tpuNames.find(name => tpuCatalog[name].generation === wanted);
}

/** The description of a machine with this many chips, as libtpu reads it: "v5e:1x1". */
export function tpuTopology(name: TpuName, chips = 1): string {
  const { generation, dimensions } = tpuCatalog[name];
  return `${generation}:${[...Array.from({ length: dimensions - 1 }, () => 1), chips].join('x')}`;
}
