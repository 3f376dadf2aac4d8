/**
 * Models which error functions XLA stores on a GPU. Its pass `PriorityFusion` compares the time of computing a value in each of its readers
 * with the time of an additional kernel plus writing and reading the value: a GELU's erf takes about thirty operations per element. On a
 * B200, whose memory is fast relative to its arithmetic, it stores a large erf if the gradient is also summed, as for a bias, and the GELU
 * itself is not. Tested by compiling 0.05 to 100 million elements for eight cards: no other card stores any, nor does a B200 in bfloat16 or
 * for a gradient that is not summed.
 */
import type { ComputeCapability } from '../../catalog/cards.ts';
import type { Node } from '../../graph/graph.ts';
import { worksByElement } from '../../graph/ops/elementwise.ts';
import type { ReadersOf } from '../../graph/readers.ts';
import { elementCount } from '../../graph/types.ts';
import { lastOf } from '../../narrow.ts';

const KEEPING: ReadonlySet<ComputeCapability> = new Set<ComputeCapability>(['10.0']);
/** A tensor of 401,408 elements is computed twice, one of 655,360 is stored. */
const MIN_ELEMENTS = 2 ** 19;

/** Returns the values that depend on a single erf, are read several times, and are stored. */
export function keptErfs(
  schedule: readonly Node[],
  readers: ReadonlyMap<Node, readonly Node[]>,
  { capability }: { readonly capability: ComputeCapability },
): ReadonlySet<Node> {
  if (!KEEPING.has(capability)) return new Set();
  const readersOf = (node: Node): readonly Node[] => readers.get(node) ?? [];
  const large = schedule.filter(({ op, shape }) => op === 'erf' && elementCount(shape) >= MIN_ELEMENTS);
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

/** Returns a value and the elementwise values computed from it, as long as each has a single reader. */
function chainOf(node: Node, readersOf: ReadersOf): readonly Node[] {
  const [reader, other] = readersOf(node);
  return reader && !other && worksByElement(reader.op) ? [node, ...chainOf(reader, readersOf)] : [node];
}

/** Returns true if a sum reads elementwise values computed from this one. */
const isSummed = (node: Node, readersOf: ReadersOf): boolean =>
  [...reached(node, each => (worksByElement(each.op) ? readersOf(each) : []))].some(({ op }) => op === 'sum');

/** Returns true if an erf is computed elementwise from float32 values only. */
const isWide = (erf: Node): boolean =>
  [...reached(erf, each => (worksByElement(each.op) ? each.inputs : []))].every(({ dtype }) => dtype !== 'bfloat16');

/** Returns a node and all nodes reachable from it. */
function reached(node: Node, next: ReadersOf): ReadonlySet<Node> {
  const found = new Set([node]);
  // Iterating over a set also visits elements added meanwhile.
  for (const each of found) for (const other of next(each)) found.add(other);
  return found;
}
