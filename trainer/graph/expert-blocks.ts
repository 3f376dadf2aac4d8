/**
 * Blocks of assignments to experts, for devices whose programs have static shapes: the assignments of an expert fill blocks of its own, the last
 * of them in part (the padded groups of MegaBlocks, Gale et al., 2022). The PJRT engine multiplies by them (`engine/pjrt/kernels/experts.ts`),
 * and estimates count what it holds.
 */

/** Sizes of the blocks: large enough for matrix units, small enough to leave few places empty. */
const SMALLEST = 16;
const LARGEST = 256;

export interface BlockSizes {
  /** Places of a block. */
  readonly size: number;
  /** The most blocks that the assignments can need. */
  readonly count: number;
}

/** The blocks of n assignments to experts, whichever these are: about as large as an expert's share. */
export function expertBlocks(n: number, experts: number): BlockSizes {
  const share = 2 ** Math.ceil(Math.log2(Math.max(1, n / experts)));
  const size = Math.min(LARGEST, Math.max(SMALLEST, share));
  return { size, count: Math.floor((n + Math.min(n, experts) * (size - 1)) / size) };
}

interface ExpertSides {
  /** Assignments. */
  readonly n: number;
  readonly experts: number;
  /** The shape of one expert's matrix. */
  readonly width: number;
  readonly out: number;
}

interface BlockGroup {
  /** Turns of the loop. */
  readonly turns: number;
  /** Blocks that are multiplied at once. */
  readonly together: number;
  /** Elements that these hold: a copy of each block's matrix, its rows and its products. */
  readonly held: number;
}

/**
 * The blocks of a product by experts that one turn of its loop multiplies. A turn is a few kernels, and one block fills a small part of a GPU:
 * 128 experts of 768 × 2048 would take 255 turns. What a turn holds is at most the larger of what the product reads and what it writes for all
 * assignments.
 */
export function blocksTogether({ n, experts, width, out }: ExpertSides): BlockGroup {
  const { size, count } = expertBlocks(n, experts);
  const ofBlock = width * out + size * (width + out);
  const fitting = Math.floor((n * Math.max(width, out)) / ofBlock);
  const turns = Math.ceil(count / Math.max(1, fitting));
  const together = Math.ceil(count / turns);
  return { turns, together, held: together * ofBlock };
}
