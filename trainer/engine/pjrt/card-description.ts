/** Describes a card for XLA's GPU compiler: the text format of its GpuTargetConfigProto. */
import { type CardEntry, type CardName, cardBytes, cardCatalog, type Maker, makerOf, multiprocessors } from '../../catalog/cards.ts';
import { isTpu, type TargetName, tpuTopology } from '../../catalog/tpus.ts';

/** A description of a machine, as its plugin reads it. */
interface Described {
  readonly name: string;
  readonly options: readonly (readonly [string, string])[];
}

/** Returns the description of a machine with this many cards or TPUs. */
export const topologyOf = (name: TargetName, count = 1): Described =>
  isTpu(name) ? { name: tpuTopology(name, count), options: [] } : { name, options: topologyOptions(name, count) };

/** Returns what the memory of a program depends on: part of its key in the cache. */
export const describeTarget = (name: TargetName): string => (isTpu(name) ? tpuTopology(name) : describeCard(name));

/** Properties of every card since compute capability 8.0 (CUDA programming guide), and of AMD's since RDNA 3 and CDNA 3. */
const COMMON = {
  threads_per_block_limit: 1024,
  block_dim_limit_x: 2 ** 31 - 1,
  block_dim_limit_y: 65535,
  block_dim_limit_z: 65535,
  registers_per_core_limit: 65536,
  registers_per_block_limit: 65536,
  thread_dim_limit_x: 1024,
  thread_dim_limit_y: 1024,
} as const;

/** Properties that differ by maker. */
const makers: Readonly<
  Record<Maker, { readonly name: string; readonly platform: string; readonly limits: Readonly<Record<string, number>> }>
> = {
  nvidia: { name: 'NVIDIA', platform: 'CUDA', limits: { shared_memory_per_block: 48 * 1024, thread_dim_limit_z: 64 } },
  amd: { name: 'AMD', platform: 'ROCM', limits: { shared_memory_per_block: 64 * 1024, thread_dim_limit_z: 1024 } },
};

/** The cuDNN release that the compiler assumes. */
const DNN_VERSION = { major: 9, minor: 12, patch: 0 } as const;

const lines = (fields: Readonly<Record<string, number>>): string[] => Object.entries(fields).map(([name, value]) => `${name}: ${value}`);

/** Returns the options of a plugin that describe a machine with this many cards. */
export const topologyOptions = (name: CardName, cards = 1): readonly (readonly [string, string])[] => [
  ['topology', `1x1x${cards}`],
  ['target_config', describeCard(name)],
];

export function describeCard(name: CardName): string {
  const card = cardCatalog[name];
  const core = multiprocessors[card.capability];
  const maker = makers[makerOf(name)];
  const info = lines({
    ...COMMON,
    ...maker.limits,
    threads_per_warp: core.warp,
    shared_memory_per_core: core.sharedBytes,
    shared_memory_per_block_optin: core.blockSharedBytes,
    threads_per_core_limit: core.threads,
    fpus_per_core: core.lanes,
    core_count: card.multiprocessors,
    memory_bandwidth: card.bandwidth * 1e9,
    l2_cache_size: card.cacheMib * 2 ** 20,
    clock_rate_ghz: card.gigahertz,
    device_memory_size: cardBytes(name),
  });
  return [
    'gpu_device_info {',
    ...info,
    ...capabilityLines(card),
    '}',
    `platform_name: "${maker.platform}"`,
    ...(makerOf(name) === 'nvidia' ? [`dnn_version_info { ${lines(DNN_VERSION).join(' ')} }`] : []),
    `device_description_str: "${maker.name} ${card.label}"`,
  ].join('\n');
}

function capabilityLines({ capability }: CardEntry): readonly string[] {
  if (multiprocessors[capability].maker === 'amd') return [`rocm_compute_capability { gcn_arch_name: "${capability}" }`];
  const [major = 0, minor = 0] = capability.split('.').map(Number);
  return [`cuda_compute_capability { ${lines({ major, minor }).join(' ')} }`];
}
