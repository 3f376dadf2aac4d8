/** Identifies the graphics card of a device, from its driver's name and from the facts that a plugin reports. */
import {
  ASSUMED_CARD,
  type CardEntry,
  type CardName,
  type ComputeCapability,
  cardCatalog,
  type Maker,
  multiprocessors,
  usableCardBytes,
} from './cards.ts';
import { namesOf } from './entries.ts';

/**
 * The names that NVIDIA's driver gives to devices with a card's numbers, without "NVIDIA ", which drivers before 465 omit. They are from
 * its list of supported products (README of the driver, appendix A; README of NVIDIA/open-gpu-kernel-modules). Names that differ by a word
 * are other devices: an H100 PCIe has 114 multiprocessors, an RTX 4090 D 114, a mobile RTX 4090 76. Names of AMD's, without "AMD ", are
 * those of libdrm's list (data/amdgpu.ids).
 */
const deviceNames: Readonly<Record<CardName, readonly string[]>> = {
  'rtx-3060': ['GeForce RTX 3060'],
  'rtx-4060-ti': ['GeForce RTX 4060 Ti'],
  'rtx-3090': ['GeForce RTX 3090'],
  'rtx-4090': ['GeForce RTX 4090'],
  'rtx-5090': ['GeForce RTX 5090'],
  l4: ['L4'],
  l40s: ['L40S'],
  'a100-40': ['A100-SXM4-40GB', 'A100-PCIE-40GB'],
  a100: ['A100-SXM4-80GB', 'A100 80GB PCIe'],
  h100: ['H100 80GB HBM3'],
  h200: ['H200', 'H200 NVL'],
  b200: ['B200'],
  'rx-7900-xt': ['Radeon RX 7900 XT'],
  'rx-7900-xtx': ['Radeon RX 7900 XTX'],
  'rx-9070-xt': ['Radeon RX 9070 XT'],
  r9700: ['Radeon AI PRO R9700'],
  'radeon-8060s': ['Radeon 8060S Graphics'],
  mi300x: ['Instinct MI300X'],
};

/** Boards with one name and different memory sizes. */
const SEVERAL_SIZES: readonly CardName[] = ['rtx-3060', 'rtx-4060-ti', 'radeon-8060s'];

const plain = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/^(?:nvidia|amd) /, '');

/** The card for a driver's device name, for example "NVIDIA A100-SXM4-80GB"; undefined for a device with other numbers. */
export function cardOfDevice(deviceName: string): CardName | undefined {
  const name = plain(deviceName);
  return namesOf(deviceNames).find(card => deviceNames[card].some(known => plain(known) === name));
}

/** Facts about a device that are known before it computes. */
export interface DeviceFacts {
  /** The driver's name; '' if unknown. */
  readonly name: string;
  /** The compute capability, for example "9.0"; left out if the device does not report it. */
  readonly capability?: string | undefined;
  readonly multiprocessors?: number | undefined;
  /** Bytes that programs may use on the device; left out if the device does not report it. */
  readonly memoryBytes?: number | undefined;
}

/** A device with all numbers that an estimate needs. */
export interface DeviceCard extends Pick<CardEntry, 'multiprocessors' | 'capability'> {
  readonly name: string;
  /** The card in the catalog with its name. */
  readonly card?: CardName;
  /** Bytes that programs may use; left out if unknown. */
  readonly memoryBytes?: number;
  /** A sentence about the assumed numbers; left out if all are the device's own, or those of its card. */
  readonly assumed?: string;
}

/** The device of a machine on which an engine computes. */
export interface DeviceHere {
  readonly device: 'cpu' | 'gpu';
  /** The GPU, with what is assumed about it, for an engine whose GPU memory is estimated. */
  readonly gpu?: DeviceCard;
}

/** The numbers of a device: its own, else those of the card with its name, else those of the assumed card, which `assumed` then says. */
export function deviceCard(facts: DeviceFacts): DeviceCard {
  const card = cardOfDevice(facts.name);
  const entry = cardCatalog[card ?? ASSUMED_CARD];
  const known = facts.capability === undefined ? undefined : nearestCapability(facts.capability);
  const capability = known ?? entry.capability;
  const count = facts.multiprocessors ?? entry.multiprocessors;
  const memoryBytes = facts.memoryBytes ?? (card && !SEVERAL_SIZES.includes(card) ? usableCardBytes(card) : undefined);
  const assumed = card === undefined ? assumedText(facts, { known, capability, count }) : undefined;
  return {
    name: facts.name,
    ...(card && { card }),
    multiprocessors: count,
    capability,
    ...(memoryBytes !== undefined && { memoryBytes }),
    ...(assumed !== undefined && { assumed }),
  };
}

/** True for the names that libtpu gives devices, for example "TPU v5 lite". */
export const isTpuDevice = (name: string): boolean => /^TPU\b/.test(name);

/** A description with the assumptions: "NVIDIA GeForce RTX 4090: 128 multiprocessors, compute capability 8.9". */
export function deviceText({ name, multiprocessors: count, capability, assumed }: DeviceCard): string {
  if (isTpuDevice(name) && assumed !== undefined) return assumed;
  const numbers = `${name === '' ? 'GPU' : name}: ${count} multiprocessors, compute capability ${capability}`;
  return assumed === undefined ? numbers : `${numbers}. ${assumed}`;
}

interface Taken {
  readonly known: ComputeCapability | undefined;
  readonly capability: ComputeCapability;
  readonly count: number;
}

function assumedText(facts: DeviceFacts, { known, capability, count }: Taken): string | undefined {
  if (isTpuDevice(facts.name))
    return `${facts.name}: only its compiler knows its memory. Until it has compiled a program, the figure is that of an ${cardCatalog[ASSUMED_CARD].label}, and the TPU needs more`;
  const like = `those of an ${cardCatalog[ASSUMED_CARD].label}`;
  const name = facts.name === '' ? 'The GPU of this machine has not given its name' : `${facts.name} is not among the known cards`;
  const missing = [
    ...(facts.multiprocessors === undefined ? [`${count} multiprocessors`] : []),
    ...(known === undefined ? [`compute capability ${capability}`] : []),
  ];
  if (missing.length > 0) return `${name}: its memory is estimated with ${missing.join(' and ')}, ${like}`;
  if (known !== undefined && (facts.capability ?? '').split(':')[0] === known) return undefined;
  return `${name}: its compute capability, ${facts.capability}, counts as ${capability}, the nearest whose numbers are known`;
}

const partsOf = (capability: string): readonly [number, number] => {
  const [major = 0, minor = 0] = capability.split('.').map(Number);
  return [major, minor];
};

/** The known compute capability that is nearest to this one of the same maker; undefined for any other text. */
function nearestCapability(text: string): ComputeCapability | undefined {
  if (text.startsWith('gfx')) return nearestTarget(text);
  return /^\d+\.\d+$/.test(text) ? newestUpTo(text) : undefined;
}

const capabilitiesOf = (maker: Maker): readonly ComputeCapability[] =>
  namesOf(multiprocessors).filter(each => multiprocessors[each].maker === maker);

/** The newest that is not newer, else the oldest. */
function newestUpTo(text: string): ComputeCapability | undefined {
  const [major, minor] = partsOf(text);
  const known = capabilitiesOf('nvidia');
  const notNewer = known.filter(each => {
    const [ownMajor, ownMinor] = partsOf(each);
    return ownMajor < major || (ownMajor === major && ownMinor <= minor);
  });
  return notNewer.at(-1) ?? known[0];
}

/** Length of what every target of a family begins with: gfx9 is CDNA; gfx10, 11 and 12 are RDNA. */
const FAMILY_LENGTH = 'gfx9'.length;

/** The target of AMD's with the longest common beginning. @param text a target, perhaps with features: "gfx942:sramecc+:xnack-" */
function nearestTarget(text: string): ComputeCapability | undefined {
  const common = (target: string): number => [...target].findIndex((character, i) => text[i] !== character);
  const lengthOf = (target: string): number => (common(target) === -1 ? target.length : common(target));
  const [nearest] = capabilitiesOf('amd').toSorted((a, b) => lengthOf(b) - lengthOf(a));
  return nearest !== undefined && lengthOf(nearest) >= FAMILY_LENGTH ? nearest : undefined;
}
