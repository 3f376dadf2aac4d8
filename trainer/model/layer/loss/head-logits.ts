/** The full logits of a language model's head. The loss computes its own, chunk by chunk. */
import type { Graph, Node } from '../../../graph/graph.ts';
import type { CausalModel } from '../../model-spec.ts';
import { product } from '../../product.ts';
import { softCap } from '../soft-cap.ts';

/**
 * @param hidden [rows, features]
 * @param weight of the head, or some of its rows, [tokens, features]
 * @returns [rows, tokens] in float32
 */
export function headLogits(graph: Graph, { logitCap }: CausalModel, hidden: Node, weight: Node): Node {
  const plain = product(graph, weight.dtype, hidden, weight, { transposeB: true });
  return logitCap === undefined ? plain : softCap(graph, plain, logitCap).y;
}
