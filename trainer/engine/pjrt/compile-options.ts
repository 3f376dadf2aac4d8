/**
 * XLA's CompileOptionsProto, encoded by hand: executable_build_options (3) { num_replicas (4), num_partitions (5): 1 } and
 * env_option_overrides (7), a map from the name of a flag to { string_field (1) }, { bool_field (2) } or { int_field (3) }.
 */
import type { PjrtPlugin } from '../install/pjrt-plugins.ts';

type Flag = string | boolean | number;
type Flags = Readonly<Record<string, Flag>>;

/**
 * Flags of all programs. bfloat16 results are rounded where the graph says so, on every engine. Products that share an operand stay
 * separate: on a GPU, XLA would concatenate their weights, and hold those copies from the forward pass to the backward pass. Recomputation
 * is planned in the graph (`recompute`): XLA's own pass for it counts a weight that is updated in place twice, so it would start when the
 * weights take less than half of a GPU, search for minutes, and compute more.
 */
const FLAGS = {
  xla_allow_excess_precision: false,
  xla_gpu_dot_merger_threshold_mb: 0,
  xla_disable_hlo_passes: 'rematerialization',
} satisfies Flags;

/** The first lines of a module, of those that apply: properties on which the flags depend. */
export const MARKS = {
  /** Operations whose order of addition may vary: sums by ids, and cuDNN's gradient of attention. */
  unordered: '// adds in any order',
  /** The module computes so few values that optimizing its code takes longer than a run of hundreds of steps gains. */
  small: '// computes few values',
} as const;

export type Mark = keyof typeof MARKS;

/**
 * Flags of such modules: XLA uses implementations of these operations that add in a fixed order, and no kernel whose order varies, so a
 * resumed run ends bit-identical to one that was not interrupted. The second flag keeps Triton's kernels, which XLA would also exclude
 * because it does not check their order of addition; it is fixed.
 */
const ORDERED: Flags = {
  xla_gpu_exclude_nondeterministic_ops: true,
  xla_gpu_experimental_deterministic_ops_triton: 'DETERMINISTIC_OPS_TRITON_MODE_UNCHECKED',
};

/** Flags of small modules on a processor: LLVM's passes take half of the time to compile them. */
const UNOPTIMIZED: Flags = { xla_backend_optimization_level: 0 };

/** Flags for a card that is not present: nothing can be tested on it. */
const CARD_FLAGS: Flags = { ...FLAGS, xla_gpu_autotune_level: 0 };

/** The flags that a plugin has: see `pjrt-plugins.ts`. */
export type PluginFlags = Pick<PjrtPlugin, 'orders' | 'skipsPasses'>;

/** All plugins that compile for cards can order additions; machine code of a card is always optimized. */
const CARD_PLUGIN: PluginFlags = { orders: true };

export interface CompiledModule {
  readonly text: string;
  /** Number of devices that run the program at the same time, at most {@link MAX_REPLICAS}; 1 if omitted. */
  readonly replicas?: number | undefined;
}

/** Stands for a module in keys that belong to all programs of a device. */
export const NO_MODULE: CompiledModule = { text: '' };

/** Returns the options for a plugin. */
export const compileOptions = (module: CompiledModule, plugin: PluginFlags): Uint8Array => optionsOf(FLAGS, module, plugin);

/** Returns the options for a card. */
export const cardCompileOptions = (module: CompiledModule): Uint8Array => optionsOf(CARD_FLAGS, module, CARD_PLUGIN);

export interface CompilerFolders {
  /** NVIDIA's compiler. If omitted, XLA uses the `ptxas` on the path, which may be too old for the card. */
  readonly toolkit?: string | undefined;
  /** Cache of XLA's autotuning results on this device, as in JAX: programs that share kernels are tuned once. */
  readonly tuned?: string | undefined;
  /**
   * A folder in which XLA writes the program with its buffers. XLA then stops, because the file of kernels in the folder is not valid, and it
   * does not search for a way to compute each product. So this is only for programs that never run. Buffers depend on neither.
   * It uses one thread, because without kernels several only hand small tasks to each other.
   */
  readonly buffers?: string | undefined;
}

/** Adds folders of this machine to the options: they do not change what a program computes, so they are not part of its cache key. */
export const withFolders = (options: Uint8Array, { toolkit, tuned, buffers }: CompilerFolders): Uint8Array =>
  Uint8Array.from([
    ...options,
    ...(toolkit === undefined ? [] : override('xla_gpu_cuda_data_dir', toolkit)),
    ...(tuned === undefined ? [] : override('xla_gpu_per_fusion_autotune_cache_dir', tuned)),
    ...(buffers === undefined ? [] : Object.entries(buffersIn(buffers)).flatMap(([name, value]) => override(name, value))),
  ]);

/** The name of the file in the folder of buffers from which XLA reads kernels. */
export const KERNELS = 'kernels';

const buffersIn = (folder: string): Flags => ({
  xla_dump_to: folder,
  xla_dump_hlo_as_proto: true,
  xla_disable_hlo_passes: `${FLAGS.xla_disable_hlo_passes},config-assigner`,
  xla_gpu_kernel_cache_file: `${folder}/${KERNELS}`,
  xla_gpu_force_compilation_parallelism: 1,
});

/** A number below 128 fits in one byte. */
const MAX_REPLICAS = 127;

function optionsOf(flags: Flags, { text, replicas = 1 }: CompiledModule, { orders, skipsPasses }: PluginFlags): Uint8Array {
  if (replicas > MAX_REPLICAS) throw new RangeError(`${replicas} devices of one program, more than ${MAX_REPLICAS}`);
  const all = { ...flags, ...(orders && hasMark(text, 'unordered') && ORDERED), ...(skipsPasses && hasMark(text, 'small') && UNOPTIMIZED) };
  const overrides = Object.entries(all).flatMap(([name, value]) => override(name, value));
  return Uint8Array.from([...field(3, [0x20, replicas, 0x28, 1]), ...overrides]);
}

/** Returns true if a module has this mark, before its first line of code. */
const hasMark = (text: string, mark: Mark): boolean => text.slice(0, text.indexOf('module')).includes(`${MARKS[mark]}\n`);

/** Encodes an entry of the map of flags. */
const override = (name: string, value: Flag): number[] => field(7, [...field(1, [...Buffer.from(name)]), ...field(2, flagBytes(value))]);

/** Encodes a value; a number below 128 fits in one byte. */
function flagBytes(value: Flag): number[] {
  if (typeof value === 'string') return field(1, [...Buffer.from(value)]);
  return typeof value === 'boolean' ? [0x10, value ? 1 : 0] : [0x18, value];
}

/** Encodes a bytes field: its number, which must be below 16, and its length. */
const field = (number: number, bytes: readonly number[]): number[] => [(number << 3) | 2, ...lengthBytes(bytes.length), ...bytes];

/** Encodes a length: seven bits per byte, lowest first. */
const lengthBytes = (length: number): number[] => (length < 128 ? [length] : [(length & 127) | 128, ...lengthBytes(length >> 7)]);
