/** Encodes one value in the host form of an element type. */
import type { DType, HostArray } from '../../../graph/types.ts';

/** Returns the upper half of a float32, which is a bfloat16; exact for the padding values used (0, −∞, small integers). */
const bfloat16Bits = (value: number): number => (new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0) >>> 16;

const ARRAYS: Record<DType, (value: number) => HostArray> = {
  float32: value => Float32Array.of(value),
  bfloat16: value => Uint16Array.of(bfloat16Bits(value)),
  int32: value => Int32Array.of(value),
  uint8: value => Uint8Array.of(value),
  int8: value => Int8Array.of(value),
  bool: value => Uint8Array.of(value),
};

export const scalarOf = (value: number, dtype: DType): HostArray => ARRAYS[dtype](value);
