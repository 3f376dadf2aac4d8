/**
 * Blocks of assignments to experts, for devices whose programs have static shapes: each expert's assignments fill blocks of their own, the
 * last of them partly (the padded groups of MegaBlocks, Gale et al., 2022). The PJRT engine multiplies block by block
 * (`engine/pjrt/kernels/experts.ts`), and estimates count the memory of the blocks.
 */

/** Block sizes: large enough for matrix units, small enough to leave few slots empty. */
const SMALLEST = 16;
const LARGEST = 256;

export interface BlockSizes {
  /** Number of slots in a block. */
  readonly size: number;
  /** Maximum number of blocks that the assignments can need. */
  readonly count: number;
}

/** Returns blocks for any n assignments to experts; a block is about as large as the average number of assignments per expert. */
export function expertBlocks(n: number, experts: number): BlockSizes {
  const share = 2 ** Math.ceil(Math.log2(Math.max(1, n / experts)));
  const size = Math.min(LARGEST, Math.max(SMALLEST, share));
  return { size, count: Math.floor((n + Math.min(n, experts) * (size - 1)) / size) };
}

interface ExpertSides {
  /** Number of assignments. */
  readonly n: number;
  readonly experts: number;
  /** Shape of one expert's matrix. */
  readonly width: number;
  readonly out: number;
}

interface BlockGroup {
  /** Number of loop iterations. */
  readonly iterations: number;
  /** Number of blocks that are multiplied at the same time. */
  readonly together: number;
  /** Number of elements in these blocks: a copy of each block's matrix, its rows and its products. */
  readonly held: number;
}

/**
 * Returns the blocks of an expert product that one loop iteration multiplies. An iteration is a few kernels, and a single block fills only
 * a small part of a GPU: 128 experts of 768 × 2048 would take 255 iterations. The buffers of an iteration are at most as large as the
 * product's input or output for all assignments, whichever is larger.
 */
export function blocksTogether({ n, experts, width, out }: ExpertSides): BlockGroup {
  const { size, count } = expertBlocks(n, experts);
  const ofBlock = width * out + size * (width + out);
  const fitting = Math.floor((n * Math.max(width, out)) / ofBlock);
  const iterations = Math.ceil(count / Math.max(1, fitting));
  const together = Math.ceil(count / iterations);
  return { iterations, together, held: together * ofBlock };
}
