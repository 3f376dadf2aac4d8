/** Which experts compute a token, and how what they give is put together (Shazeer et al. 2017; Mixtral: Jiang et al. 2024; DeepSeek-V3, 2024). */
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
  /** In place of the softmax, the sigmoid of each logit. */
  readonly sigmoids?: SigmoidRule;
}

export interface SigmoidRule {
  /** Added to the sum that the weights are divided by. */
  readonly epsilon: number;
  /** The factor of all weights. */
  readonly factor: number;
  /** Groups of neighboring experts, all of one size, and of how many of them a token may have experts. */
  readonly groups?: { readonly count: number; readonly chosen: number };
}

/** Far below any logit, and a number in every engine. */
const OUT = -3e38;

/**
 * The experts with the highest logits; of equal ones the first. The choice has no gradient, the weights have.
 * @param logits of the router, [tokens, experts]
 * @param bias of each expert, [experts]: it is added to the sigmoids where experts are chosen, and not to their weights
 */
export function route(graph: Graph, logits: Node, rule: RoutingRule, bias?: Node): Routing {
  const [tokens, experts] = dimensions(logits.shape, 2);
  const { chosen, sumsToOne, sigmoids } = rule;
  const scores = sigmoids ? graph.sigmoid(logits) : sumsToOne ? logits : graph.softmax(logits);
  let left = sigmoids ? eligible(graph, bias ? graph.add(scores, bias) : scores, sigmoids) : logits;
  const ids: Node[] = [];
  const values: Node[] = [];
  for (let i = 0; i < chosen; i++) {
    const best = bestOf(graph, left);
    const isBest = graph.oneHot(best, experts);
    ids.push(graph.reshape(best, [tokens, 1]));
    values.push(graph.sum(graph.mul(scores, isBest), [1], true));
    if (i + 1 < chosen) left = without(graph, left, isBest);
  }
  const weights = weightsOf(graph, graph.concat(values, 1), rule);
  return { ids: graph.reshape(graph.concat(ids, 1), [tokens * chosen]), weights };
}

/** Outside the blocks, so that it is kept: computed again, a choice between nearly equal numbers might fall otherwise. */
const bestOf = (graph: Graph, from: Node): Node => graph.within({ block: -1 }, () => graph.argmax(from, 1));

/** @param isTaken 1 where a number is no longer to be chosen, otherwise 0 */
const without = (graph: Graph, from: Node, isTaken: Node): Node => graph.select(graph.greaterEqual(isTaken, 0.5), graph.scalar(OUT), from);

/** @param values of the chosen experts, [tokens, chosen] */
function weightsOf(graph: Graph, values: Node, { sumsToOne, sigmoids }: RoutingRule): Node {
  if (!sigmoids) return sumsToOne ? graph.softmax(values) : values;
  const { epsilon, factor } = sigmoids;
  const shares = sumsToOne ? graph.div(values, graph.add(graph.sum(values, [1], true), epsilon)) : values;
  return factor === 1 ? shares : graph.mul(shares, factor);
}

/**
 * The scores of the groups that experts may be chosen from, and `OUT` for all others. The groups whose two highest scores have the largest
 * sums are chosen.
 * @param scores [tokens, experts]
 */
function eligible(graph: Graph, scores: Node, { groups }: SigmoidRule): Node {
  if (!groups || groups.chosen === groups.count) return scores;
  const [tokens, experts] = dimensions(scores.shape, 2);
  const size = experts / groups.count;
  const grouped = graph.reshape(scores, [tokens * groups.count, size]);
  const others = without(graph, grouped, graph.oneHot(bestOf(graph, grouped), size));
  let left = graph.reshape(graph.add(graph.max(grouped, [1]), graph.max(others, [1])), [tokens, groups.count]);
  for (let i = 0; i < groups.chosen; i++) left = without(graph, left, graph.oneHot(bestOf(graph, left), groups.count));
  // Those that were chosen are out of the sums.
  const isChosen = graph.less(graph.reshape(left, [tokens * groups.count, 1]), OUT / 2);
  return graph.reshape(graph.select(isChosen, grouped, graph.scalar(OUT)), [tokens, experts]);
}

/** Σ over a token's experts of weight · output, [tokens, width]. @param outputs [tokens · chosen, width] */
export function combine(graph: Graph, outputs: Node, weights: Node): Node {
  const [tokens, chosen] = dimensions(weights.shape, 2);
  const width = outputs.shape[1] as number;
  const weighed = graph.mul(graph.reshape(outputs, [tokens, chosen, width]), graph.reshape(weights, [tokens, chosen, 1]));
  return graph.sum(weighed, [1]);
}
