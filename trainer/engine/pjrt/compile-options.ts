/**
 * XLA's CompileOptionsProto, written by hand: executable_build_options (3) { num_replicas (4), num_partitions (5): 1 } and
 * env_option_overrides (7), a map from the name of a flag to { string_field (1) }, { bool_field (2) } or
 * { int_field (3) }.
 */

type Flag = string | boolean | number;
type Flags = Readonly<Record<string, Flag>>;

/**
 * bfloat16 results are rounded where the graph says so, on every engine. Products that share an operand stay apart: on a GPU, XLA would put
 * weights one below the other for them, and hold those copies from the forward pass to the backward pass.
 * What is computed twice is planned here (`recompute`): XLA's own pass for that counts a weight that is updated in place two times, so it
 * would start where the weights take less than half of a GPU, search for minutes, and compute more.
 */
const FLAGS: Flags = {
  xla_allow_excess_precision: false,
  xla_gpu_dot_merger_threshold_mb: 0,
  xla_disable_hlo_passes: 'rematerialization',
};

/** The first line of a module with operations that add in any order: sums by ids, and attention's gradient by cuDNN. */
export const UNORDERED = '// adds in any order';

/**
 * For those modules: XLA takes forms of these operations that add in one order, and no kernel that adds in another each time, so a resumed run ends
 * with the bits of one that nobody stopped. It would leave out Triton's kernels, too, for it does not check in which order they add; they add
 * in one.
 */
const ORDERED: Flags = {
  xla_gpu_exclude_nondeterministic_ops: true,
  xla_gpu_experimental_deterministic_ops_triton: 'DETERMINISTIC_OPS_TRITON_MODE_UNCHECKED',
};

/** For a card that is not there: nothing can be tried out on it. */
const CARD_FLAGS: Flags = { ...FLAGS, xla_gpu_autotune_level: 0 };

export interface CompiledModule {
  readonly text: string;
  /** Devices that run the program at the same time, at most {@link MOST_REPLICAS}; 1 if left out. */
  readonly replicas?: number | undefined;
}

/** For what belongs to all programs of a device. */
export const NO_MODULE: CompiledModule = { text: '' };

/** @param orders whether the plugin has the flags that leave out what adds in any order */
export const compileOptions = (module: CompiledModule, { orders = false }: { readonly orders?: boolean | undefined }): Uint8Array =>
  optionsOf(FLAGS, module, orders);

/** The plugins that compile for cards have those flags. */
export const cardCompileOptions = (module: CompiledModule): Uint8Array => optionsOf(CARD_FLAGS, module, true);

export interface CompilerFolders {
  /** NVIDIA's compiler. Left out, XLA takes the `ptxas` of the path, which may be too old for the card. */
  readonly toolkit?: string | undefined;
  /** The results of XLA's tuning on this device, as JAX keeps them: programs that share kernels are tuned once. */
  readonly tuned?: string | undefined;
  /**
   * A file of compiled kernels, found by what they compute and not by the device: those that are in it are not compiled again, for whichever card
   * they were compiled. So it is for programs that never run, and those kernels are not optimized. Where their buffers lie was decided before.
   */
  readonly kernels?: string | undefined;
  /**
   * XLA's `xla_force_config`: how it computes each product, instead of a search for the first way that compiles. It refuses a product that cannot be
   * computed so. This, too, is for programs that never run.
   */
  readonly products?: string | undefined;
}

/** The options, with folders of this machine: they do not change what a program computes, so no compiled program is found by them. */
export const withFolders = (options: Uint8Array, { toolkit, tuned, kernels, products }: CompilerFolders): Uint8Array =>
  Uint8Array.from([
    ...options,
    ...(toolkit === undefined ? [] : override('xla_gpu_cuda_data_dir', toolkit)),
    ...(tuned === undefined ? [] : override('xla_gpu_per_fusion_autotune_cache_dir', tuned)),
    ...(kernels === undefined ? [] : [...override('xla_gpu_kernel_cache_file', kernels), ...override('xla_backend_optimization_level', 0)]),
    ...(products === undefined ? [] : override('xla_force_config', products)),
  ]);

/** A number below 128 takes one byte. */
const MOST_REPLICAS = 127;

function optionsOf(flags: Flags, { text, replicas = 1 }: CompiledModule, orders: boolean): Uint8Array {
  if (replicas > MOST_REPLICAS) throw new RangeError(`${replicas} devices of one program, more than ${MOST_REPLICAS}`);
  const all = orders && text.startsWith(UNORDERED) ? { ...flags, ...ORDERED } : flags;
  const overrides = Object.entries(all).flatMap(([name, value]) => override(name, value));
  return Uint8Array.from([...field(3, [0x20, replicas, 0x28, 1]), ...overrides]);
}

/** An entry of the map of flags. */
const override = (name: string, value: Flag): number[] => field(7, [...field(1, [...Buffer.from(name)]), ...field(2, flagBytes(value))]);

/** A number below 128 takes one byte. */
function flagBytes(value: Flag): number[] {
  if (typeof value === 'string') return field(1, [...Buffer.from(value)]);
  return typeof value === 'boolean' ? [0x10, value ? 1 : 0] : [0x18, value];
}

/** A field of bytes, with its number, which is below 16, and its length. */
const field = (number: number, bytes: readonly number[]): number[] => [(number << 3) | 2, ...lengthBytes(bytes.length), ...bytes];

/** Seven bits in a byte, the lowest first. */
const lengthBytes = (length: number): number[] => (length < 128 ? [length] : [(length & 127) | 128, ...lengthBytes(length >> 7)]);
