/** The forms in which numbers travel between processes when they are summed. */

export type SumType = 'float32' | 'bfloat16' | 'int8';

export interface SumForm {
  /** The number of `SumForm` in engine/mpi/native/narrow-sum.h. */
  readonly code: number;
  /** The bytes of so many numbers on their way, in one block. */
  readonly bytes: (count: number) => number;
  /** It is narrower than the numbers, so it travels in parts, through buffers of its own. */
  readonly isNarrow: boolean;
  /** Each process keeps what is lost, as many float32 as there are numbers, and adds it to the next sum. */
  readonly keepsLoss: boolean;
}

/** Numbers with one scale. */
const BLOCK = 128;

export const sumForms: Readonly<Record<SumType, SumForm>> = {
  float32: { code: 0, bytes: count => 4 * count, isNarrow: false, keepsLoss: false },
  bfloat16: { code: 1, bytes: count => 2 * count, isNarrow: true, keepsLoss: false },
  int8: { code: 2, bytes: count => count + 4 * Math.ceil(count / BLOCK), isNarrow: true, keepsLoss: true },
};
