/**
 * Models how XLA fuses a schedule on a GPU, to predict its memory: an elementwise operation has no buffer of its own if it is computed
 * within its readers. XLA decides that by the bytes moved, as this model does. Its factor was calibrated on about ninety steps compiled for
 * an H100, of large models and of each family. A product reads a slice of a tensor in place, unless it sums over the axis that the slice
 * was taken along: so the slices of keys and values for chunks of attention need buffers only until they have been summed over.
 */
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import { bufferWaits } from '../../graph/buffer-waits.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { keptTensors } from '../../graph/kept-tensors.ts';
import { inputsOf, isBackward, isOp, isSource } from '../../graph/node-store.ts';
import { worksByElement } from '../../graph/ops/elementwise.ts';
import type { Signature } from '../../graph/program.ts';
import { byteSize, sameShape } from '../../graph/types.ts';
import { addableBytes, type SplittingCard, splitSumBytes } from '../../graph/xla-split-sums.ts';
import { lastOf } from '../../narrow.ts';
import { type Reading, withAdditions, withGradientsTogether } from './xla-additions.ts';
import { withRowParts } from './xla-experts.ts';
import { keptErfs } from './xla-kept-erf.ts';
import { sumsIn } from './xla-tables.ts';

/** Longest row whose softmax one kernel computes. */
const WHOLE_ROW = 16_384;
/** Returns true for a softmax over longer rows. Two kernels compute the maximum and the sum of a row; the rest is elementwise. */
export const isOfLongRows = ({ op, shape }: Node): boolean => op === 'softmax' && lastOf(shape) > WHOLE_ROW;

/** Operations that can be computed within their readers, as elementwise operations can. */
const COMPUTED_WITHIN: ReadonlySet<OpName> = new Set<OpName>(['broadcast', 'slice', 'transpose', 'pad', 'oneHot', 'gather']);

/** Operations that read buffers only. */
const READ_BUFFERS: ReadonlySet<OpName> = new Set<OpName>([
  'matmul',
  'conv2d',
  'conv2dInputGrad',
  'conv2dFilterGrad',
  'expertProduct',
  'expertGradient',
  'attention',
  'attentionGradient',
  'concat',
]);

/** Safety factor on the bytes that recomputing a value moves, when they are compared with those of a buffer. */
const CAUTION = 1.45;
/**
 * Bytes that a card moves at 1 TB/s in the time that XLA assumes for launching a kernel, 1 µs (its `GpuPerformanceModelBase`). In a forward
 * pass, small sums of products are therefore computed in their readers, which hold all products. In a training step the backward pass needs
 * most of them anyway, and its small steps are estimated better without.
 */
const LAUNCH_BYTES = 1e6;
/** Limit on the bytes read from a tensor, as a multiple of the result: of a larger tensor, such as a lookup table, only a part is read. */
const MAX_READ_RATIO = 4;

const isView = (node: Node): boolean => bufferOf(node) !== node;
const isComputed = (node: Node): boolean => worksByElement(node.op) || COMPUTED_WITHIN.has(node.op) || isOfLongRows(node);

/**
 * Returns true for a slice along several axes at once, as when rows are shifted against each other: a tiled kernel cannot read it in place.
 */
const isShifted = ({ op, inputs: [input] }: Node, readers: readonly Node[]): boolean =>
  op === 'slice' && input !== undefined && isView(input) && !isSource(bufferOf(input)) && !readers.some(reader => reader.op === 'slice');

/** Returns one step per buffer, in schedule order; each step also reads buffers only. */
export function xlaSteps({ schedule, outputs }: Pick<Signature, 'schedule' | 'outputs'>, card: SplittingCard): Step[] {
  const readers = readersOf(schedule);
  const written = sumsOfProducts(schedule, readers, card);
  const given = new Set([...Object.values(outputs), ...keptErfs(schedule, readers, card), ...keptTensors(schedule), ...written]);
  /** The buffers that each operation without a buffer is computed from. */
  const sources = new Map<Node, readonly Node[]>();
  const inPlace = partsInPlace(schedule, readers);
  const readBy = (node: Node): Node[] =>
    node.inputs.map((input, i) => inPlace(node, i) ?? input).flatMap(input => sources.get(input) ?? [input]);
  const needsBuffer = (reader: Node, node: Node): boolean =>
    (READ_BUFFERS.has(reader.op) || written.has(reader)) &&
    (!reader.inputs.includes(node) || reader.inputs.some((input, i) => input === node && inPlace(reader, i) === undefined));
  const launchBytes = schedule.some(isBackward) ? 0 : LAUNCH_BYTES;
  const waits = bufferWaits(schedule);
  /** The operations that still wait for a value, among each operation without a buffer and the inputs it is computed from. */
  const waiting = new Map<Node, readonly Node[]>();
  // Deduplicated: a chain of operations that read a value twice would double the list at every step.
  const waitingIn = (node: Node): Node[] => [
    ...new Set([...(waits.has(node) ? [node] : []), ...node.inputs.flatMap(input => waiting.get(input) ?? [])]),
  ];
  const served = new Set<Node>();
  /**
   * Returns the buffers that a step holds because of the order of large buffers: the first operation that waits for a value causes it to be
   * computed.
   */
  const heldBy = (node: Node): Node[] => {
    const first = waitingIn(node).filter(each => !served.has(each));
    for (const each of first) served.add(each);
    return first.flatMap(each => waits.get(each)?.readers ?? []).flatMap(each => sources.get(each) ?? [each]);
  };
  const readings: Reading[] = [];
  for (const node of schedule) {
    const reads = [...new Set(readBy(node))];
    const all = readers.get(node) ?? [];
    const mayBeWithin = !given.has(node) && !isShifted(node, all) && all.length > 0 && !all.some(reader => needsBuffer(reader, node));
    const isInPlace = mayBeWithin && all.every(({ op }) => READ_BUFFERS.has(op));
    const isOfNone = isView(node)
      ? node.inputs.some(input => sources.has(input))
      : isComputed(node) &&
        !isSummedApart(node, readers) &&
        (isInPlace || isNarrowSum(node) || saves(node, reads, countOf(node, readers), launchBytes));
    if (mayBeWithin && isOfNone) {
      sources.set(node, reads);
      waiting.set(node, waitingIn(node));
    } else {
      const partBytes = mayBeWithin && !isView(node) ? addableBytes(node, card) : 0;
      const step = { nodes: [node], reads: [...new Set([...reads, ...heldBy(node)])], ...(partBytes > 0 && { partBytes }) };
      readings.push({ node, step, reads });
    }
  }
  const steps = withRowParts(withAdditions(withGradientsTogether(readings)));
  const sums = sumsIn(steps);
  // A kernel that also computes a sum does so before it writes anything, so its result may take over an operand's buffer, unless another
  // sum reads either of them (XLA's `FusionCanShareBufferHint`).
  const isApart = (node: Node, reads: readonly Node[]): boolean =>
    sums(node) > 1 || (sums(node) === 1 && reads.some(read => sums(bufferOf(read)) > 0));
  return steps.map(step => (step.nodes.some(node => isApart(node, step.reads)) ? { ...step, isFresh: true as const } : step));
}

/**
 * Returns the sums that a product's kernel writes: it adds another value to a product whose sums are not split and that only the sum reads.
 * The other value needs a buffer too. A sum with a split product is computed by the kernel that adds the parts.
 */
function sumsOfProducts(schedule: readonly Node[], readers: ReadonlyMap<Node, readonly Node[]>, card: SplittingCard): ReadonlySet<Node> {
  const isSplit = (node: Node): boolean => splitSumBytes(node, card) > 0;
  const isWritten = (node: Node): boolean =>
    node.op === 'add' &&
    node.inputs.every(input => sameShape(input.shape, node.shape) && input.dtype === node.dtype && !isSplit(input)) &&
    node.inputs.some(input => input.op === 'matmul' && readers.get(input)?.length === 1);
  return new Set(schedule.filter(node => isBackward(node) && isWritten(node)));
}

/** Returns the readers of each value, either direct or through views. */
function readersOf(schedule: readonly Node[]): ReadonlyMap<Node, readonly Node[]> {
  const found = new Map<Node, Node[]>();
  const add = (node: Node, readers: readonly Node[]): void => void found.set(node, [...(found.get(node) ?? []), ...readers]);
  // Readers come after the values they read, so this walks backward.
  for (const node of schedule.toReversed()) for (const input of node.inputs) add(input, isView(node) ? (found.get(node) ?? []) : [node]);
  return found;
}

/** Returns the tensor that a node is a slice of, in the same or another element type, and the sliced axes. */
function partOf(node: Node): { readonly whole: Node; readonly axes: readonly number[] } | undefined {
  const slice = node.op === 'cast' ? inputsOf(node, 1)[0] : node;
  if (!isOp(slice, 'slice')) return undefined;
  const [whole] = inputsOf(slice, 1);
  const axes = whole.shape.flatMap((size, axis) => (size === slice.shape[axis] ? [] : [axis]));
  return axes.length === 0 ? undefined : { whole, axes };
}

/** Returns true if a product does not sum over an axis that its input is a slice of. */
function keepsAxes(reader: Node, i: number): boolean {
  const input = reader.inputs[i];
  if (!isOp(reader, 'matmul') || input === undefined) return false;
  const { transposeA, transposeB } = reader.attrs;
  const summed = input.shape.length - ((i === 0 ? transposeA : !transposeB) ? 2 : 1);
  return partOf(input)?.axes.every(axis => axis !== summed) ?? false;
}

/** Returns the tensor with the same values at every position, ignoring casts. */
function origin(node: Node): Node {
  const [input] = node.inputs;
  const isSame = input !== undefined && (node.op === 'cast' || (node.op === 'slice' && sameShape(node.shape, input.shape)));
  return isSame ? origin(input) : node;
}

/**
 * Returns, for a product and an input index, the tensor with a buffer, of the input's element type, in which the product reads the input.
 */
function partsInPlace(
  schedule: readonly Node[],
  readers: ReadonlyMap<Node, readonly Node[]>,
): (reader: Node, i: number) => Node | undefined {
  const forms = new Map<string, Node[]>();
  const keyOf = (whole: Node, { dtype, recomputed }: Pick<Node, 'dtype' | 'recomputed'>): string =>
    `${origin(whole).id} ${dtype} ${recomputed}`;
  for (const node of schedule) forms.set(keyOf(node, node), [...(forms.get(keyOf(node, node)) ?? []), node]);
  const hasBuffer = (node: Node): boolean => {
    const owner = bufferOf(node);
    return !isComputed(owner) || (readers.get(node) ?? []).some(({ op }) => READ_BUFFERS.has(op));
  };
  return (reader, i) => {
    const input = reader.inputs[i];
    if (reader.op === 'matmul' && input?.op === 'broadcast') return input.inputs[0];
    const part = input && partOf(input);
    if (!part || !keepsAxes(reader, i)) return undefined;
    return (forms.get(keyOf(part.whole, input)) ?? []).find(hasBuffer);
  };
}

/**
 * Returns true for a tensor that is summed along different axes. XLA's sums along different axes have different kernels: one also writes the
 * tensor (`MultiOutputFusion`), and the others read it. A sum of negated values is the negated sum.
 */
function isSummedApart(node: Node, readers: ReadonlyMap<Node, readonly Node[]>): boolean {
  const sumsOf = (each: Node): readonly string[] =>
    (readers.get(each) ?? []).flatMap(reader => {
      if (reader.op === 'neg') return sumsOf(reader);
      return isOp(reader, 'sum') ? [`${reader.attrs.axes} of ${reader.inputs[0]?.shape}`] : [];
    });
  return new Set(sumsOf(node)).size > 1;
}

/** Returns the number of readers of a tensor. A widening cast has no buffer, so its readers count as readers of the tensor. */
function countOf(node: Node, readers: ReadonlyMap<Node, readonly Node[]>): number {
  const isWidened = ({ op, dtype }: Node): boolean => op === 'cast' && dtype === 'float32' && node.dtype === 'bfloat16';
  return (readers.get(node) ?? []).reduce((sum, reader) => sum + (isWidened(reader) ? countOf(reader, readers) : 1), 0);
}

/**
 * Returns true for a bfloat16 sum of two bfloat16 products in the forward pass, as of a layer and its low-rank factors. XLA computes it in
 * its readers, which are three kernels at most: they read as many bytes of both products as they would read, and write, of the sum, and a
 * launch is saved. Compared with steps of LoRA from 32 tokens of 32 elements to 2048 of 4096.
 */
function isNarrowSum(node: Node): boolean {
  const [sum] = node.inputs;
  const isProduct = ({ op, inputs: [input] }: Node): boolean => op === 'cast' && input?.op === 'matmul' && input.dtype === 'bfloat16';
  return !isBackward(node) && node.op === 'cast' && node.dtype === 'bfloat16' && sum?.op === 'add' && sum.inputs.every(isProduct);
}

/**
 * Returns true if computing the node in each of its readers moves fewer bytes than writing and reading its buffer.
 * @param launchBytes bytes that a card moves while it launches the kernel that writes the buffer
 */
function saves(node: Node, reads: readonly Node[], readers: number, launchBytes: number): boolean {
  const own = byteSize(node);
  const read = reads.reduce((sum, each) => sum + Math.min(byteSize(each), MAX_READ_RATIO * own), 0);
  return CAUTION * readers * read < read + own + readers * own + launchBytes;
}
