/** The forms of weights on their way into an engine: computed in JavaScript, or by native code of the engine on all cores, alike to the bit. */

/** A weight in float32, or as bits of bfloat16. */
export type StoredValues = Float32Array | Uint16Array;

/** 8 bits with a scale for each row: a number is code · scale. */
export interface RowCodes {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

/** 4 bits with a scale for each block, which has 8 bits itself: low + scale · step of its range. */
export interface BlockCodes {
  /** Two codes a byte, the first in the upper half. */
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly low: Float32Array;
  readonly step: Float32Array;
}

/** Numbers that share a scale. */
export const CODE_BLOCK = 64;
/** Scales that share a range. */
export const SCALE_RANGE = 256;

/** Arrays that a coder is given must not change until its promise settles. */
export interface WeightCoder {
  /** The numbers of bits of bfloat16, all of which float32 has; left out where the engine takes the bits for a variable of float32. */
  readonly widen?: ((bits: Uint16Array) => Promise<Float32Array>) | undefined;
  /** @param rows divides the values */
  readonly encodeRows: (values: StoredValues, rows: number) => Promise<RowCodes>;
  /** @param borders 15, between neighboring levels, ascending: a code is the number of borders below its number */
  readonly encodeBlocks: (values: StoredValues, borders: Float64Array) => Promise<BlockCodes>;
}

/** Arrays for the codes of so many numbers. */
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
