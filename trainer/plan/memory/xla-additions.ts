/**
 * Models which kernels add the parts of split sums on a GPU. XLA fuses the addition into the kernel that reads the product, so the parts
 * occupy memory until then. That kernel also writes the result, if others read it later. Kernels of the same size that read the same
 * buffers, and do not depend on each other, become one (XLA's pass `MultiOutputFusion`): it runs in place of the last of them, and the
 * parts wait for it. This also applies to the gradients of all chunks of a loss, which read the same embedding table.
 *
 * Elementwise gradients of the same size that read the same tensor become one kernel too. It runs in place of the first, so their inputs are
 * free while the gradients are used one after the other. In a gated layer, it computes the gradients of both branches.
 */
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { worksByElement } from '../../graph/ops/elementwise.ts';
import { elementCount } from '../../graph/types.ts';
import { elementAt, lastOf, valueFor } from '../../narrow.ts';

/** A step of one node, and the inputs of its computation; the step may also read tensors that it only waits for. */
export interface Reading {
  readonly node: Node;
  readonly step: Step;
  readonly reads: readonly Node[];
}

/** Maximum number of loss chunks that one kernel computes: eight of Llama-2-7B's nine, and seven and eight of Llama-3-8B's sixteen. */
const MAX_TOGETHER = 8;

/** Operations that are fused into the kernel that reads them, so kernels that share their inputs read the same buffers. */
const LOOKED_UP: ReadonlySet<OpName> = new Set<OpName>(['gather', 'slice', 'cast']);

/** Returns the steps, each with the products whose parts it adds. */
export function withAdditions(readings: readonly Reading[]): Step[] {
  const madeFrom = new Map(readings.map(({ node, reads }) => [node, reads]));
  /** Products with split sums whose parts have not been added yet. */
  const parted = new Set<Node>();
  /** The step that runs as the kernel that computes each step. */
  const kernels = new Map<number, number>();
  const additions = new Map<number, { readonly adds: Node[]; readonly reads: Node[] }>();
  for (const [i, { node, step, reads }] of readings.entries()) {
    const adds = isView(node) ? [] : reads.map(bufferOf).filter(read => parted.delete(read));
    if (adds.length > 0) {
      if (!kernels.has(i)) {
        const members = [i, ...alikeBehind(readings, i, madeFrom).filter(other => !kernels.has(other))].slice(0, MAX_TOGETHER);
        for (const member of members) kernels.set(member, lastOf(members));
      }
      const at = valueFor(kernels, i);
      const known = additions.get(at) ?? { adds: [], reads: [] };
      additions.set(at, { adds: [...known.adds, ...adds], reads: [...known.reads, ...reads] });
    }
    if (step.partBytes !== undefined) parted.add(node);
  }
  return readings.map(({ step }, i) => {
    const found = additions.get(i);
    return found ? { ...step, adds: found.adds, reads: [...new Set([...step.reads, ...found.reads])] } : step;
  });
}

/**
 * Returns the steps with each elementwise gradient of a block directly after the first that reads the same tensor, if everything that it
 * reads exists there.
 */
export function withGradientsTogether(readings: readonly Reading[]): readonly Reading[] {
  const moved = new Set<Reading>();
  return readings.flatMap((reading, i) => {
    if (moved.has(reading)) return [];
    const found = isElementwiseGradient(reading.node) ? gradientsBehind(readings, i).filter(other => !moved.has(other)) : [];
    for (const other of found) moved.add(other);
    return [reading, ...found];
  });
}

const isElementwiseGradient = (node: Node): boolean => node.phase === 1 && !node.recomputed && node.block >= 0 && worksByElement(node.op);

/** Returns the later elementwise gradients of the same block and size that read a tensor of that size which the one at this position reads. */
function gradientsBehind(readings: readonly Reading[], at: number): readonly Reading[] {
  const { node: first, reads: own } = elementAt(readings, at);
  const size = elementCount(first.shape);
  const shared = new Set(own.map(bufferOf).filter(read => elementCount(read.shape) === size));
  const behind = new Set([first]);
  const found: Reading[] = [];
  for (let i = at + 1; i < readings.length; i++) {
    const reading = elementAt(readings, i);
    const { node, step, reads } = reading;
    if (node.block >= 0 && node.block !== first.block) break;
    const isAlike = isElementwiseGradient(node) && elementCount(node.shape) === size && reads.some(read => shared.has(bufferOf(read)));
    if (isAlike && !step.reads.some(read => behind.has(read) || behind.has(bufferOf(read)))) found.push(reading);
    else behind.add(node);
  }
  return found;
}

const isView = (node: Node): boolean => bufferOf(node) !== node;

/** Returns the later steps that XLA may fuse with the one at this position. */
function alikeBehind(readings: readonly Reading[], at: number, madeFrom: ReadonlyMap<Node, readonly Node[]>): readonly number[] {
  const { node, reads } = elementAt(readings, at);
  const shared = new Set(operandsOf(reads, madeFrom));
  const behind = new Set([node]);
  const found: number[] = [];
  for (let i = at + 1; i < readings.length; i++) {
    const { node: other, step, reads: own } = elementAt(readings, i);
    if (isElsewhere(other, node)) break;
    if (step.reads.some(read => behind.has(bufferOf(read)))) behind.add(other);
    else if (isAlike(other, node) && operandsOf(own, madeFrom).some(read => shared.has(read))) found.push(i);
  }
  return found;
}

/** Returns true for a node of another block or another pass: the backward pass waits for the forward pass. */
const isElsewhere = (other: Node, node: Node): boolean =>
  passOf(other) !== passOf(node) || (other.block >= 0 && other.block !== node.block);

const passOf = ({ phase, recomputed }: Node): number => (recomputed ? 1 : phase);

const isAlike = (other: Node, node: Node): boolean =>
  !isView(other) && other.op !== 'matmul' && other.block === node.block && elementCount(other.shape) === elementCount(node.shape);

/** Returns the buffers that a kernel reads, including the inputs of lookups; one-element buffers do not count. */
function operandsOf(reads: readonly Node[], madeFrom: ReadonlyMap<Node, readonly Node[]>): readonly Node[] {
  return reads.flatMap(read => {
    const owner = bufferOf(read);
    if (elementCount(owner.shape) === 1) return [];
    return [owner, ...(LOOKED_UP.has(owner.op) ? operandsOf(madeFrom.get(owner) ?? [], madeFrom) : [])];
  });
}
