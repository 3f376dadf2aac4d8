/**
 * Models the kernels of a GPU that give several results. XLA keeps a table of where these lie for each, from the start of the program to its end.
 * Tables are small, but a small step has hundreds of kernels.
 */
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { elementCount } from '../../graph/types.ts';

/** cuDNN's results, and all of an Adam update. */
const OF_SEVERAL: ReadonlySet<OpName> = new Set<OpName>(['conv2d', 'conv2dInputGrad', 'conv2dFilterGrad', 'adam']);

/** One kernel gives the results of all that read the same: both moments of a tensor, or the rows of several. */
const ONE_KERNEL: ReadonlySet<OpName> = new Set<OpName>(['assignAdd', 'slice']);

/**
 * Returns, for each kernel of several results, a step that it computes. A sum over a gradient is computed together with the gradient, and not
 * once more with what is computed again for it.
 */
export function stepsOfTables(steps: readonly Step[]): Step[] {
  const together = new Set<string>();
  const isFirst = (key: string): boolean => together.size < together.add(key).size;
  const sums = sumsIn(steps);
  return steps.filter(({ nodes: [node], reads }) => {
    if (node === undefined || bufferOf(node) !== node) return false;
    if (OF_SEVERAL.has(node.op)) return true;
    if (node.phase === 2) return ONE_KERNEL.has(node.op) && isFirst(`${node.op} ${reads[0]?.id}`);
    return node.phase === 1 && !node.recomputed && node.op !== 'matmul' && sums(node) > 0;
  });
}

/** Returns the number of sums that read all of a tensor that is no sum itself: one kernel computes them with it. */
export function sumsIn(steps: readonly Step[]): (node: Node) => number {
  const sums = new Map<string, number>();
  for (const { nodes, reads } of steps)
    for (const node of nodes)
      for (const read of isSum(node) ? reads : []) {
        const key = summedKey(node, read);
        sums.set(key, (sums.get(key) ?? 0) + 1);
      }
  return node => (isSum(node) ? 0 : (sums.get(`${node.id} ${elementCount(node.shape)}`) ?? 0));
}

const isSum = ({ op }: Node): boolean => op === 'sum';

/** A sum and what it is computed from, where it goes over all of that once. */
const summedKey = ({ inputs: [input] }: Node, read: Node): string => `${bufferOf(read).id} ${elementCount(input?.shape ?? [])}`;
