/**
 * Graphics cards for which a recipe can be estimated; they need not be present. Sizes and rates are from the data sheets of NVIDIA and AMD
 * and their architecture papers (Ampere GA100 and GA102, Ada, Hopper, Blackwell; RDNA 3 and 4, CDNA 3); limits of a multiprocessor are from
 * the table "Technical Specifications per Compute Capability" of the CUDA programming guide, and from "Accelerator and GPU hardware
 * specifications" of AMD's ROCm. All other numbers that a compiler needs follow from these.
 */
import { didYouMean } from './did-you-mean.ts';
import { namesOf, orList } from './entries.ts';

/** Who makes a card, and the compiler for it. */
export type Maker = 'nvidia' | 'amd';

/** Limits of a multiprocessor. Shared memory in bytes: the total, and the maximum per block. */
interface Multiprocessor {
  readonly maker: Maker;
  readonly threads: number;
  /** Number of threads in a warp. */
  readonly warp: number;
  readonly sharedBytes: number;
  readonly blockSharedBytes: number;
  /** Number of float32 units. */
  readonly lanes: number;
  /** True if XLA gives images of float32 convolutions channels last, as ours have. It does so for other types on all cards of the maker. */
  readonly floatChannelsLast: boolean;
}

const KIB = 1024;

const NVIDIA = { maker: 'nvidia', warp: 32 } as const;
/** A multiprocessor, as HIP counts them, is a pair of compute units of RDNA, and one of CDNA. */
const AMD = {
  maker: 'amd',
  threads: 2048,
  sharedBytes: 64 * KIB,
  blockSharedBytes: 64 * KIB,
  lanes: 128,
  floatChannelsLast: false,
} as const;

/** Limits by compute capability, which for AMD is the name of LLVM's target. */
export const multiprocessors = {
  '8.0': { ...NVIDIA, threads: 2048, sharedBytes: 164 * KIB, blockSharedBytes: 163 * KIB, lanes: 64, floatChannelsLast: false },
  '8.6': { ...NVIDIA, threads: 1536, sharedBytes: 100 * KIB, blockSharedBytes: 99 * KIB, lanes: 128, floatChannelsLast: false },
  '8.9': { ...NVIDIA, threads: 1536, sharedBytes: 100 * KIB, blockSharedBytes: 99 * KIB, lanes: 128, floatChannelsLast: false },
  '9.0': { ...NVIDIA, threads: 2048, sharedBytes: 228 * KIB, blockSharedBytes: 227 * KIB, lanes: 128, floatChannelsLast: true },
  '10.0': { ...NVIDIA, threads: 2048, sharedBytes: 228 * KIB, blockSharedBytes: 227 * KIB, lanes: 128, floatChannelsLast: true },
  '12.0': { ...NVIDIA, threads: 1536, sharedBytes: 100 * KIB, blockSharedBytes: 99 * KIB, lanes: 128, floatChannelsLast: true },
  gfx942: { ...AMD, warp: 64 },
  gfx1100: { ...AMD, warp: 32 },
  gfx1151: { ...AMD, warp: 32 },
  gfx1201: { ...AMD, warp: 32 },
} as const satisfies Readonly<Record<string, Multiprocessor>>;

export type ComputeCapability = keyof typeof multiprocessors;

export interface CardEntry {
  readonly label: string;
  readonly capability: ComputeCapability;
  readonly memoryGib: number;
  /** Number of multiprocessors as CUDA and HIP count them; for a B200, on both dies. */
  readonly multiprocessors: number;
  /** Dense bfloat16 products with float32 sums in TFLOP/s: half of the rate "with sparsity"; for GeForce cards, twice their float32 rate. */
  readonly teraflops: number;
  /** Memory bandwidth in GB/s. */
  readonly bandwidth: number;
  readonly cacheMib: number;
  /** Boost clock in GHz. */
  readonly gigahertz: number;
}

const entries = {
  'rtx-3060': {
    label: 'RTX 3060 12 GB',
    capability: '8.6',
    memoryGib: 12,
    multiprocessors: 28,
    teraflops: 25.5,
    bandwidth: 360,
    cacheMib: 3,
    gigahertz: 1.78,
  },
  'rtx-4060-ti': {
    label: 'RTX 4060 Ti 16 GB',
    capability: '8.9',
    memoryGib: 16,
    multiprocessors: 34,
    teraflops: 44.1,
    bandwidth: 288,
    cacheMib: 32,
    gigahertz: 2.54,
  },
  'rtx-3090': {
    label: 'RTX 3090',
    capability: '8.6',
    memoryGib: 24,
    multiprocessors: 82,
    teraflops: 71,
    bandwidth: 936,
    cacheMib: 6,
    gigahertz: 1.7,
  },
  'rtx-4090': {
    label: 'RTX 4090',
    capability: '8.9',
    memoryGib: 24,
    multiprocessors: 128,
    teraflops: 165.2,
    bandwidth: 1008,
    cacheMib: 72,
    gigahertz: 2.52,
  },
  'rtx-5090': {
    label: 'RTX 5090',
    capability: '12.0',
    memoryGib: 32,
    multiprocessors: 170,
    teraflops: 209.5,
    bandwidth: 1792,
    cacheMib: 96,
    gigahertz: 2.41,
  },
  l4: { label: 'L4', capability: '8.9', memoryGib: 24, multiprocessors: 58, teraflops: 121, bandwidth: 300, cacheMib: 48, gigahertz: 2.04 },
  l40s: {
    label: 'L40S',
    capability: '8.9',
    memoryGib: 48,
    multiprocessors: 142,
    teraflops: 362,
    bandwidth: 864,
    cacheMib: 96,
    gigahertz: 2.52,
  },
  'a100-40': {
    label: 'A100 40 GB',
    capability: '8.0',
    memoryGib: 40,
    multiprocessors: 108,
    teraflops: 312,
    bandwidth: 1555,
    cacheMib: 40,
    gigahertz: 1.41,
  },
  a100: {
    label: 'A100 80 GB',
    capability: '8.0',
    memoryGib: 80,
    multiprocessors: 108,
    teraflops: 312,
    bandwidth: 2039,
    cacheMib: 40,
    gigahertz: 1.41,
  },
  h100: {
    label: 'H100 80 GB',
    capability: '9.0',
    memoryGib: 80,
    multiprocessors: 132,
    teraflops: 989,
    bandwidth: 3352,
    cacheMib: 50,
    gigahertz: 1.98,
  },
  h200: {
    label: 'H200',
    capability: '9.0',
    memoryGib: 141e9 / 2 ** 30,
    multiprocessors: 132,
    teraflops: 989,
    bandwidth: 4800,
    cacheMib: 50,
    gigahertz: 1.98,
  },
  b200: {
    label: 'B200',
    capability: '10.0',
    memoryGib: 180e9 / 2 ** 30,
    multiprocessors: 148,
    teraflops: 2250,
    bandwidth: 7700,
    cacheMib: 126,
    gigahertz: 1.97,
  },
  'rx-7900-xt': {
    label: 'RX 7900 XT',
    capability: 'gfx1100',
    memoryGib: 20,
    multiprocessors: 42,
    teraflops: 103,
    bandwidth: 800,
    cacheMib: 6,
    gigahertz: 2.4,
  },
  'rx-7900-xtx': {
    label: 'RX 7900 XTX',
    capability: 'gfx1100',
    memoryGib: 24,
    multiprocessors: 48,
    teraflops: 122.8,
    bandwidth: 960,
    cacheMib: 6,
    gigahertz: 2.5,
  },
  'rx-9070-xt': {
    label: 'RX 9070 XT',
    capability: 'gfx1201',
    memoryGib: 16,
    multiprocessors: 32,
    teraflops: 195,
    bandwidth: 640,
    cacheMib: 8,
    gigahertz: 2.97,
  },
  r9700: {
    label: 'Radeon AI PRO R9700',
    capability: 'gfx1201',
    memoryGib: 32,
    multiprocessors: 32,
    teraflops: 191,
    bandwidth: 640,
    cacheMib: 8,
    gigahertz: 2.92,
  },
  // The GPU of the Ryzen AI Max+ 395, whose firmware assigns it at most this much of 128 GB.
  'radeon-8060s': {
    label: 'Radeon 8060S 96 GB',
    capability: 'gfx1151',
    memoryGib: 96,
    multiprocessors: 20,
    teraflops: 59.4,
    bandwidth: 256,
    cacheMib: 2,
    gigahertz: 2.9,
  },
  mi300x: {
    label: 'MI300X',
    capability: 'gfx942',
    memoryGib: 192,
    multiprocessors: 304,
    teraflops: 1307,
    bandwidth: 5300,
    cacheMib: 4,
    gigahertz: 2.1,
  },
} as const satisfies Readonly<Record<string, CardEntry>>;

export type CardName = keyof typeof entries;

export const cardCatalog: Readonly<Record<CardName, CardEntry>> = entries;

export const cardNames = namesOf(entries);

export const makerOf = (name: CardName): Maker => multiprocessors[cardCatalog[name].capability].maker;

/** The card of each generation of NVIDIA's for which the tests and the benchmark compile: sm_80, 86, 89, 90 and 100. */
export const cardOfEachGeneration = ['a100', 'rtx-3090', 'rtx-4090', 'h100', 'b200'] as const satisfies readonly CardName[];

/** The card of each generation of AMD's for which the tests compile: RDNA 3, RDNA 4 and CDNA 3. */
export const amdCardOfEachGeneration = ['rx-7900-xtx', 'rx-9070-xt', 'mi300x'] as const satisfies readonly CardName[];

/** The card that stands for unknown devices: the model of buffers was calibrated with programs compiled for it. */
export const ASSUMED_CARD: CardName = 'h100';

/** Rows of a tile of a product: fewer rows take as long. */
const TILE_ROWS = 128;

/**
 * Number of rows from which a product with a large weight is limited by arithmetic instead of by reading the weight, in whole tiles. Each
 * row takes 2 FLOP per element of the weight, and an element has 2 bytes. So the intensity in FLOP per byte is the number of rows, and the
 * limit is the rate of products divided by that of memory (the ridge of the roofline: Williams, Waterman and Patterson 2009). For float32,
 * both the bytes and the time of a product double.
 */
export function fillingRows(name: CardName): number {
  const { teraflops, bandwidth } = cardCatalog[name];
  return TILE_ROWS * Math.ceil((1000 * teraflops) / bandwidth / TILE_ROWS);
}

/** Memory of a card in bytes. */
export const cardBytes = (name: CardName): number => Math.round(cardCatalog[name].memoryGib * 2 ** 30);

/**
 * Memory that the driver, the process's context and the compiled kernels take before a program runs. An assumption: no card was available
 * to measure it.
 */
export const CARD_RESERVED_BYTES = 2 ** 30;

/** Bytes that a run may use on a card. */
export const usableCardBytes = (name: CardName): number => cardBytes(name) - CARD_RESERVED_BYTES;

/** The text in lower case, without punctuation and the words of vendors and product lines, which do not identify a card. */
const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\b(nvidia|geforce|tesla|amd|radeon|instinct|ai pro)\b/g, '')
    .replace(/[^a-z0-9]/g, '');

/** The card that a text names ("rtx-4090", "RTX 4090", "NVIDIA GeForce RTX 4090", "4090"), or what to write instead. */
export function findCard(text: string): { readonly card: CardName } | { readonly problem: string } {
  const wanted = plain(text);
  const spellings = (name: CardName): string[] => [plain(name), plain(cardCatalog[name].label), plain(name).replace(/^rt?x/, '')];
  const card = cardNames.find(name => spellings(name).includes(wanted));
  if (card !== undefined) return { card };
  const near = didYouMean(
    text,
    cardNames.map(name => cardCatalog[name].label),
  );
  const meant = near === undefined ? '' : ` Did you mean '${near}'?`;
  return { problem: `no card named '${text}' is known.${meant} Known cards: ${orList(cardNames.map(name => cardCatalog[name].label))}` };
}
