/**
 * Models the GPU kernels and loops with several results. For each, XLA keeps a table of the results' addresses, from the start of the program
 * to its end. Tables are small, but a small step has hundreds of kernels.
 */
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { elementCount } from '../../graph/types.ts';
import { isExpertLoop } from './xla-experts.ts';

/** Operations of cuDNN, and the whole Adam update. */
const OF_SEVERAL: ReadonlySet<OpName> = new Set<OpName>(['conv2d', 'conv2dInputGrad', 'conv2dFilterGrad', 'adam']);

/** Operations that one kernel computes for all that read the same tensor: both moments of a tensor, or several slices. */
const ONE_KERNEL: ReadonlySet<OpName> = new Set<OpName>(['assignAdd', 'slice']);

/**
 * Returns, for each kernel or loop with several results, one step that it computes. A sum over a gradient is computed together with the
 * gradient, but not again with values that are recomputed for it.
 */
export function stepsOfTables(steps: readonly Step[]): Step[] {
  const together = new Set<string>();
  const isFirst = (key: string): boolean => together.size < together.add(key).size;
  const sums = sumsIn(steps);
  return steps.filter(({ nodes: [node], reads }) => {
    if (node === undefined || bufferOf(node) !== node) return false;
    if (OF_SEVERAL.has(node.op) || isExpertLoop(node)) return true;
    if (node.phase === 2) return ONE_KERNEL.has(node.op) && isFirst(`${node.op} ${reads[0]?.id}`);
    return node.phase === 1 && !node.recomputed && node.op !== 'matmul' && sums(node) > 0;
  });
}

/**
 * Returns a function that counts the sums over all of a tensor that is not itself a sum: one kernel computes them along with the tensor.
 */
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

/** Returns the key of a sum over a tensor; it matches the tensor if the sum covers each element once. */
const summedKey = ({ inputs: [input] }: Node, read: Node): string => `${bufferOf(read).id} ${elementCount(input?.shape ?? [])}`;
