/**
 * Models which kernels add the parts of divided sums on a GPU. XLA computes the addition within the kernel that reads the product, so the parts lie
 * there until then. That kernel also writes the result, if others read it later. Kernels of one size that read the same, and of which none needs
 * another's result, are one (XLA's pass `MultiOutputFusion`): it runs where the last of them would, and the parts wait for it. So do those of the
 * gradients of all chunks of a loss, which read the same table of embeddings.
 */
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { elementCount } from '../../graph/types.ts';
import { elementAt, lastOf, valueFor } from '../../narrow.ts';

/** A step of one node, and what it computes from: it may also read what it only waits for. */
export interface Reading {
  readonly node: Node;
  readonly step: Step;
  readonly reads: readonly Node[];
}

/** So many chunks of a loss are computed by one kernel at most: eight of Llama-2-7B's nine, and seven and eight of Llama-3-8B's sixteen. */
const MOST_TOGETHER = 8;

/** They are computed within the kernel that reads them, so kernels read the same where these do. */
const LOOKED_UP: ReadonlySet<OpName> = new Set<OpName>(['gather', 'slice', 'cast']);

/** Returns the steps, each with the products whose parts it adds. */
export function withAdditions(readings: readonly Reading[]): Step[] {
  const madeFrom = new Map(readings.map(({ node, reads }) => [node, reads]));
  /** Products whose sums are divided, until a step adds the parts. */
  const parted = new Set<Node>();
  /** By a step, the one that runs as the kernel that computes it. */
  const kernels = new Map<number, number>();
  const additions = new Map<number, { readonly adds: Node[]; readonly reads: Node[] }>();
  for (const [i, { node, step, reads }] of readings.entries()) {
    const adds = isView(node) ? [] : reads.map(bufferOf).filter(read => parted.delete(read));
    if (adds.length > 0) {
      if (!kernels.has(i)) {
        const members = [i, ...alikeBehind(readings, i, madeFrom).filter(other => !kernels.has(other))].slice(0, MOST_TOGETHER);
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

const isView = (node: Node): boolean => bufferOf(node) !== node;

/** The steps behind a place that XLA may compute together with the one there. */
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

/** Whether it belongs to another block, or to another pass: the backward pass waits for the forward pass. */
const isElsewhere = (other: Node, node: Node): boolean =>
  passOf(other) !== passOf(node) || (other.block >= 0 && other.block !== node.block);

const passOf = ({ phase, recomputed }: Node): number => (recomputed ? 1 : phase);

const isAlike = (other: Node, node: Node): boolean =>
  !isView(other) && other.op !== 'matmul' && other.block === node.block && elementCount(other.shape) === elementCount(node.shape);

/** The buffers that a kernel reads, those of what it looks up among them; single numbers count for nothing. */
function operandsOf(reads: readonly Node[], madeFrom: ReadonlyMap<Node, readonly Node[]>): readonly Node[] {
  return reads.flatMap(read => {
    const owner = bufferOf(read);
    if (elementCount(owner.shape) === 1) return [];
    return [owner, ...(LOOKED_UP.has(owner.op) ? operandsOf(madeFrom.get(owner) ?? [], madeFrom) : [])];
  });
}
