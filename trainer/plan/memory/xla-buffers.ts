/** The buffers of a program that XLA compiles for a GPU: how they lie, and what kernels take in addition to the tensors of the graph. */
import { isOp, type Node } from '../../graph/graph.ts';
import { type BufferRules, COMPILED_BUFFERS } from '../../graph/liveness.ts';
import { byteSize, elementCount } from '../../graph/types.ts';
import { type SplittingCard, splitSumBytes } from '../../graph/xla-split-sums.ts';
import { elementAt } from '../../narrow.ts';
import { convolutionBytes, transposedBatch, transposedFilter } from './xla-convolutions.ts';
import { expertLoopBytes } from './xla-experts.ts';

/** Every buffer begins at a multiple of these bytes, a table of results too. */
export const ALIGNMENT = 256;

/** The most elements of a row of which one kernel computes the softmax. */
const WHOLE_ROW = 16_384;

/** Such a kernel never writes where it reads; those of a longer row's parts do. Compiled for rows of 512 to 65 536 elements in both types. */
const isOfWholeRows = ({ op, shape }: Node): boolean => op === 'softmax' && elementAt(shape, shape.length - 1) <= WHOLE_ROW;

/** It begins with zeros, which another kernel writes: XLA has that run first, because it waits for nothing. */
const isSegmentSum = ({ op }: Node): boolean => op === 'segmentSum';

/**
 * For a sum by ids that adds in one order, XLA sorts single numbers by their places and adds up neighbors, step by step (its pass
 * `ScatterDeterminismExpander`): numbers and places before the sort, after it, and after a step, in four bytes each.
 */
const sortedBytes = (node: Node): number =>
  isOp(node, 'segmentSum') && !node.attrs.distinct ? 3 * 2 * 4 * elementCount(elementAt(node.inputs, 0).shape) : 0;

/** The rules for a card. A batch is an argument of the program, and lies next to its buffers. */
export const cardBuffers = (card: SplittingCard): BufferRules => ({
  ...COMPILED_BUFFERS,
  bytes: spec => Math.ceil(byteSize(spec) / ALIGNMENT) * ALIGNMENT,
  isOutside: node => node.op === 'feed' || COMPILED_BUFFERS.isOutside(node),
  reuses: node => !isOfWholeRows(node) && COMPILED_BUFFERS.reuses(node),
  isThereFirst: isSegmentSum,
  packs: 'best fit',
  copiedFirst: node => [...transposedBatch(node, card), ...transposedFilter(node, card)],
  scratchBytes: node => splitSumBytes(node, card) + expertLoopBytes(node) + convolutionBytes(node) + sortedBytes(node),
});
