/**
 * Encodings of weights on their way into an engine: computed in JavaScript, or by the engine's native code on all cores, with bit-identical
 * results.
 */

/** A weight in float32, or as bfloat16 bits. */
export type StoredValues = Float32Array | Uint16Array;

/** 8-bit codes with a scale per row: a value is code · scale. */
export interface RowCodes {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

/** 4-bit codes with a scale per block; the scale is itself an 8-bit code: low + code · step of its range. */
export interface BlockCodes {
  /** Two codes per byte, the first in the upper half. */
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly low: Float32Array;
  readonly step: Float32Array;
}

/** Number of values that share a scale. */
export const CODE_BLOCK = 64;
/** Number of scales that share a range. */
export const SCALE_RANGE = 256;

/** Encodes weights. Arrays passed to a coder must not change until its promise settles. */
export interface WeightCoder {
  /** Converts bfloat16 bits to float32, which is exact; omitted if the engine accepts the bits for a float32 variable. */
  readonly widen?: ((bits: Uint16Array) => Promise<Float32Array>) | undefined;
  /** Encodes in 8 bits. @param rows number of rows that the values are divided into */
  readonly encodeRows: (values: StoredValues, rows: number) => Promise<RowCodes>;
  /** Encodes in 4 bits. @param borders 15 ascending borders between neighboring levels: a code is the number of borders below its value */
  readonly encodeBlocks: (values: StoredValues, borders: Float64Array) => Promise<BlockCodes>;
}

/** Returns empty arrays for the codes of this many values. */
export function emptyBlocks(count: number): BlockCodes {
  const blocks = Math.ceil(count / CODE_BLOCK);
  const ranges = Math.ceil(blocks / SCALE_RANGE);
  return {
    codes: new Uint8Array((blocks * CODE_BLOCK) / 2),
    scales: new Uint8Array(ranges * SCALE_RANGE),
    low: new Float32Array(ranges),
    step: new Float32Array(ranges),
  };
}
