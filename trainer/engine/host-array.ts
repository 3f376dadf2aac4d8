/** The host array type for each element type: bfloat16 as its bits, bool as bytes. */
import type { DType, HostArray } from '../graph/types.ts';

interface HostArrayType {
  new (content: ArrayBuffer): HostArray;
  new (length: number): HostArray;
  readonly name: string;
}

export const HOST_ARRAY: Readonly<Record<DType, HostArrayType>> = {
  float32: Float32Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
};
