/**
 * Models which error functions XLA keeps on a GPU. Its pass `PriorityFusion` compares the time of computing a value in each of its readers with that
 * of a kernel more, and of writing and reading the value: a GELU's erf takes some thirty operations per element. On a B200, which moves bytes fast
 * for what it computes, it keeps that of a large tensor where the gradient is also summed, as for a bias, and the GELU itself is not. Compiled with
 * 0.05 to 100 million elements for eight cards: no other card keeps any, nor does a B200 in bfloat16 or for a gradient that is not summed.
 */
import type { ComputeCapability } from '../../catalog/cards.ts';
import type { Node } from '../../graph/graph.ts';
import { worksByElement } from '../../graph/ops/elementwise.ts';
import { elementCount } from '../../graph/types.ts';
import { lastOf } from '../../narrow.ts';

const KEEPING: ReadonlySet<ComputeCapability> = new Set<ComputeCapability>(['10.0']);
/** A tensor of 401,408 elements is computed twice, one of 655,360 is kept. */
const LEAST_ELEMENTS = 2 ** 19;

/** Returns the values that are computed from an erf alone, read several times, and kept. */
export function keptErfs(
  schedule: readonly Node[],
  readers: ReadonlyMap<Node, readonly Node[]>,
  { capability }: { readonly capability: ComputeCapability },
): ReadonlySet<Node> {
  if (!KEEPING.has(capability)) return new Set();
  const readersOf = (node: Node): readonly Node[] => readers.get(node) ?? [];
  const large = schedule.filter(({ op, shape }) => op === 'erf' && elementCount(shape) >= LEAST_ELEMENTS);
  const isKept = (node: Node): boolean => {
    const summed = readersOf(node).filter(reader => isSummed(reader, readersOf));
    return summed.length > 0 && summed.length < readersOf(node).length;
  };
  return new Set(
    large
      .filter(isWide)
      .map(erf => lastOf(chainOf(erf, readersOf)))
      .filter(isKept),
  );
}

type ReadersOf = (node: Node) => readonly Node[];

/** A value and what is computed from it, element by element, as long as one operation reads each. */
function chainOf(node: Node, readersOf: ReadersOf): readonly Node[] {
  const [reader, other] = readersOf(node);
  return reader && !other && worksByElement(reader.op) ? [node, ...chainOf(reader, readersOf)] : [node];
}

/** Whether a sum goes over what is computed from a value element by element. */
const isSummed = (node: Node, readersOf: ReadersOf): boolean =>
  [...reached(node, each => (worksByElement(each.op) ? readersOf(each) : []))].some(({ op }) => op === 'sum');

/** Whether an erf is computed, element by element, from numbers of 32 bits alone. */
const isWide = (erf: Node): boolean =>
  [...reached(erf, each => (worksByElement(each.op) ? each.inputs : []))].every(({ dtype }) => dtype !== 'bfloat16');

/** A node, and all that are reached from it. */
function reached(node: Node, next: ReadersOf): ReadonlySet<Node> {
  const found = new Set([node]);
  // A set gives what is added to it while it is walked.
  for (const each of found) for (const other of next(each)) found.add(other);
  return found;
}
