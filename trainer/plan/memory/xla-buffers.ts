/** The buffers of a program that XLA compiles for a GPU: how they lie, and what kernels take in addition to the tensors of the graph. */
import { isOp, type Node } from '../../graph/graph.ts';
import { type BufferRules, COMPILED_BUFFERS } from '../../graph/liveness.ts';
import { byteSize, elementCount } from '../../graph/types.ts';
import { type SplittingCard, splitSumBytes } from '../../graph/xla-split-sums.ts';
import { elementAt } from '../../narrow.ts';
import { convolutionBytes, transposedBatch, transposedFilter } from './xla-convolutions.ts';
import { expertLoopBytes } from './xla-experts.ts';
import { isOfLongRows } from './xla-steps.ts';

/** Every buffer begins at a multiple of these bytes, a table of results too. */
export const ALIGNMENT = 256;

/** A kernel that computes whole rows never writes where it reads; those of a longer row's parts do. Compiled for 512 to 65 536 elements in both types. */
const isOfWholeRows = (node: Node): boolean => node.op === 'softmax' && !isOfLongRows(node);

/** Whether a result may lie where an operand of as many bytes was, even before its type changed within the kernel. */
const mayReuse = (node: Node): boolean => node.op === 'cast' || (!isOfWholeRows(node) && COMPILED_BUFFERS.reuses(node));

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
  reuses: mayReuse,
  isThereFirst: isSegmentSum,
  packs: 'best fit',
  copiedFirst: node => [...transposedBatch(node, card), ...transposedFilter(node, card)],
  scratchBytes: node => splitSumBytes(node, card) + expertLoopBytes(node) + convolutionBytes(node) + sortedBytes(node),
});
