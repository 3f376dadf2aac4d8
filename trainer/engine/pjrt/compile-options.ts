/**
 * XLA's CompileOptionsProto for one device, written by hand: executable_build_options (3) { num_replicas (4): 1, num_partitions (5): 1 } and
 * env_option_overrides (7), a map from the name of a flag to { bool_field (2) }.
 */

/** bfloat16 results are rounded where the graph says so, on every engine. */
const FLAGS: Readonly<Record<string, boolean>> = { xla_allow_excess_precision: false };

export function compileOptions(): Uint8Array {
  const overrides = Object.entries(FLAGS).flatMap(([name, value]) => {
    const key = field(1, [...Buffer.from(name)]);
    return field(7, [...key, ...field(2, [0x10, value ? 1 : 0])]);
  });
  return Uint8Array.from([...field(3, [0x20, 1, 0x28, 1]), ...overrides]);
}

/** A field of bytes. Lengths below 128 take one byte. */
const field = (number: number, bytes: readonly number[]): number[] => [(number << 3) | 2, bytes.length, ...bytes];
