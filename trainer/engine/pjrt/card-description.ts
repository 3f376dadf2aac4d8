/** Describes a card for XLA's GPU compiler: the text format of its GpuTargetConfigProto. */
import { type CardName, cardBytes, cardCatalog, multiprocessors } from '../../catalog/cards.ts';

/** Properties of every card since compute capability 8.0 (CUDA programming guide). */
const COMMON = {
  threads_per_block_limit: 1024,
  threads_per_warp: 32,
  shared_memory_per_block: 48 * 1024,
  block_dim_limit_x: 2 ** 31 - 1,
  block_dim_limit_y: 65535,
  block_dim_limit_z: 65535,
  registers_per_core_limit: 65536,
  registers_per_block_limit: 65536,
  thread_dim_limit_x: 1024,
  thread_dim_limit_y: 1024,
  thread_dim_limit_z: 64,
} as const;

/** The cuDNN release that the compiler assumes. */
const DNN_VERSION = { major: 9, minor: 12, patch: 0 } as const;

const lines = (fields: Readonly<Record<string, number>>): string[] => Object.entries(fields).map(([name, value]) => `${name}: ${value}`);

export function describeCard(name: CardName): string {
  const card = cardCatalog[name];
  const core = multiprocessors[card.capability];
  const [major = 0, minor = 0] = card.capability.split('.').map(Number);
  const info = lines({
    ...COMMON,
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
    `cuda_compute_capability { ${lines({ major, minor }).join(' ')} }`,
    '}',
    'platform_name: "CUDA"',
    `dnn_version_info { ${lines(DNN_VERSION).join(' ')} }`,
    `device_description_str: "NVIDIA ${card.label}"`,
  ].join('\n');
}
