/** Which experts compute a token, and how what they give is put together (Shazeer et al. 2017; Mixtral: Jiang et al. 2024). */
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';

export interface Routing {
  /** Experts of each token, int32 [tokens · chosen], token by token; the best first. */
  readonly ids: Node;
  /** [tokens, chosen]. */
  readonly weights: Node;
}

export interface RoutingRule {
  /** Experts that compute a token. */
  readonly chosen: number;
  /** The weights of those chosen sum to 1: softmax over all and divided by their sum, or softmax over those alone, which is the same. */
  readonly sumsToOne: boolean;
}

/** Far below any logit, and a number in every engine. */
const OUT = -3e38;

/**
 * The experts with the highest logits; of equal ones the first. The choice has no gradient, the weights have.
 * @param logits of the router, [tokens, experts]
 */
export function route(graph: Graph, logits: Node, { chosen, sumsToOne }: RoutingRule): Routing {
  const [tokens, experts] = dimensions(logits.shape, 2);
  const scores = sumsToOne ? logits : graph.softmax(logits);
  let left = logits;
  const ids: Node[] = [];
  const values: Node[] = [];
  for (let i = 0; i < chosen; i++) {
    // Outside the blocks, so that it is kept: computed again, a choice between nearly equal logits might fall otherwise.
    const from = left;
    const best = graph.within({ block: -1 }, () => graph.argmax(from, 1));
    const isBest = graph.oneHot(best, experts);
    ids.push(graph.reshape(best, [tokens, 1]));
    values.push(graph.sum(graph.mul(scores, isBest), [1], true));
    if (i + 1 < chosen) left = graph.select(graph.greaterEqual(isBest, 0.5), graph.scalar(OUT), left);
  }
  const weights = graph.concat(values, 1);
  return { ids: graph.reshape(graph.concat(ids, 1), [tokens * chosen]), weights: sumsToOne ? graph.softmax(weights) : weights };
}

/** Σ over a token's experts of weight · output, [tokens, width]. @param outputs [tokens · chosen, width] */
export function combine(graph: Graph, outputs: Node, weights: Node): Node {
  const [tokens, chosen] = dimensions(weights.shape, 2);
  const width = outputs.shape[1] as number;
  const weighed = graph.mul(graph.reshape(outputs, [tokens, chosen, width]), graph.reshape(weights, [tokens, chosen, 1]));
  return graph.sum(weighed, [1]);
}
