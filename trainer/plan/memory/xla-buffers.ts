/**
 * The buffers of a program that XLA compiles for a GPU: their layout, and the temporaries of kernels in addition to the graph's tensors.
 */
import { aliasedRead, bufferOf } from '../../graph/alias.ts';
import { isOp, type Node } from '../../graph/graph.ts';
import { type BufferRules, COMPILED_BUFFERS, type CopiedFirst } from '../../graph/liveness.ts';
import { byteSize, elementCount } from '../../graph/types.ts';
import { type SplittingCard, splitSumBytes } from '../../graph/xla-split-sums.ts';
import { elementAt, lastOf } from '../../narrow.ts';
import { convolutionBytes, transposedBatch, transposedFilter } from './xla-convolutions.ts';
import { expertLoopBytes } from './xla-experts.ts';
import { isOfLongRows } from './xla-steps.ts';

/** Every buffer, including a table of results, starts at a multiple of this many bytes. */
export const ALIGNMENT = 256;

/**
 * Returns true for a kernel that computes whole rows, which never writes where it reads; kernels for parts of longer rows do. Verified by
 * compiling 512 to 65 536 elements in both types.
 */
const isOfWholeRows = (node: Node): boolean => node.op === 'softmax' && !isOfLongRows(node);

/** Returns true if a result may take over an operand's buffer of equal size, even if the kernel casts the operand. */
const mayReuse = (node: Node): boolean => node.op === 'cast' || (!isOfWholeRows(node) && COMPILED_BUFFERS.reuses(node));

/** Returns true for a sum by ids. It starts from zeros, written by another kernel that XLA runs first because it waits for nothing. */
const isSegmentSum = ({ op }: Node): boolean => op === 'segmentSum';

/**
 * Returns the temporaries of a sum by ids with a fixed order: XLA sorts single elements by index and adds neighbors, step by step (its pass
 * `ScatterDeterminismExpander`). Values and indices exist before the sort, after it, and after a step, four bytes each.
 */
const sortedBytes = (node: Node): number =>
  isOp(node, 'segmentSum') && !node.attrs.distinct ? 3 * 2 * 4 * elementCount(elementAt(node.inputs, 0).shape) : 0;

/**
 * Returns the scales and shifts that XLA repeats in buffers for a product. A product computes an elementwise input within its kernel, but a
 * value per column is no value per column once the input is reshaped to another last axis. XLA then writes the value once for each element,
 * in a kernel of its own, which waits for nothing: the buffer exists from the start of the program to the product. Compared with the buffers
 * of Qwen's encoders of images, whose merger joins the rows of four patches after a norm.
 */
function spreadFactors(node: Node): readonly CopiedFirst[] {
  if (!isOp(node, 'matmul')) return [];
  return node.inputs.flatMap(input => {
    const joined = bufferOf(input);
    return lastOf(joined.shape) === lastOf(input.shape) ? [] : factorsOf(joined);
  });
}

/** Returns the variables that a value multiplies by or adds, last first, up to the first operation on two values of its own size. */
function factorsOf(value: Node): readonly CopiedFirst[] {
  if (value.op !== 'mul' && value.op !== 'add') return [];
  const isFactor = (input: Node): boolean => aliasedRead(input) !== undefined && elementCount(input.shape) < elementCount(value.shape);
  const factor = value.inputs.find(isFactor);
  const rest = value.inputs.find(input => input !== factor);
  const read = factor && aliasedRead(factor);
  if (!read || !rest) return [];
  return [{ name: `${read.attrs.variable} repeated to ${value.shape}`, bytes: byteSize(value) }, ...factorsOf(rest)];
}

/** Returns the rules for a card. A batch is an argument of the program, so it is stored next to the program's buffers. */
export const cardBuffers = (card: SplittingCard): BufferRules => ({
  ...COMPILED_BUFFERS,
  bytes: spec => Math.ceil(byteSize(spec) / ALIGNMENT) * ALIGNMENT,
  isOutside: node => node.op === 'feed' || COMPILED_BUFFERS.isOutside(node),
  reuses: mayReuse,
  isAllocatedAtStart: isSegmentSum,
  packs: 'best fit',
  copiesAtStart: node => [...transposedBatch(node, card), ...transposedFilter(node, card), ...spreadFactors(node)],
  scratchBytes: node => splitSumBytes(node, card) + expertLoopBytes(node) + convolutionBytes(node) + sortedBytes(node),
});
