/** The formats in which values travel between processes when they are summed. */

export type SumType = 'float32' | 'bfloat16' | 'int8';

export interface SumForm {
  /** Value of `SumForm` in engine/mpi/native/narrow-sum.h. */
  readonly code: number;
  /** Bytes of this many values in transit, in one block. */
  readonly bytes: (count: number) => number;
  /** True if the format is narrower than float32, so that values travel in parts, through separate buffers. */
  readonly isNarrow: boolean;
  /** True if each process keeps the rounding error, one float32 per value, and adds it to the next sum. */
  readonly keepsLoss: boolean;
}

/** Number of values that share a scale. */
const BLOCK = 128;

export const sumForms: Readonly<Record<SumType, SumForm>> = {
  float32: { code: 0, bytes: count => 4 * count, isNarrow: false, keepsLoss: false },
  bfloat16: { code: 1, bytes: count => 2 * count, isNarrow: true, keepsLoss: false },
  int8: { code: 2, bytes: count => count + 4 * Math.ceil(count / BLOCK), isNarrow: true, keepsLoss: true },
};
