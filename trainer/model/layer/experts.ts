/**
 * Which experts compute a token, and how their outputs are combined (Shazeer et al. 2017; Mixtral: Jiang et al. 2024; DeepSeek-V3, 2024).
 */
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';

export interface Routing {
  /** The experts of each token, int32 [tokens · chosen], token by token, best first. */
  readonly ids: Node;
  /** Weights of the chosen experts, [tokens, chosen]. */
  readonly weights: Node;
}

export interface RoutingRule {
  /** Number of experts that compute a token. */
  readonly chosen: number;
  /**
   * True if the weights of the chosen experts sum to 1: softmax over all, divided by their sum, which equals the softmax over the chosen
   * ones.
   */
  readonly sumsToOne: boolean;
  /** If given, the scores of all experts, which a bias and groups may limit, decide the choice. */
  readonly scoring?: ScoringRule;
}

/** `epsilon` is added to the sum that the weights are divided by; `least` is the smallest number that they are divided by. */
export type ScoringRule = ScoringShape & ({ readonly epsilon: number } | { readonly least: number });

interface ScoringShape {
  /** The function of the logits that gives the scores. */
  readonly of: 'sigmoid' | 'softmax';
  /** Set if the logits, with the bias, decide the choice, and the scores are only the weights. */
  readonly choosesByLogits?: true;
  /** Multiplies all weights. */
  readonly factor: number;
  /** Groups of neighboring experts, all of equal size, and the number of groups that a token's experts may come from. */
  readonly groups?: { readonly count: number; readonly chosen: number };
}

/** Far below any logit, and representable in every engine. */
const OUT = -3e38;

/**
 * Chooses the experts with the highest logits, the first among equals. The choice has no gradient; the weights do.
 * @param logits of the router, [tokens, experts]
 * @param bias of each expert, [experts]: added to what decides the choice of experts, but not to the weights
 */
export function route(graph: Graph, logits: Node, rule: RoutingRule, bias?: Node): Routing {
  const [tokens, experts] = dimensions(logits.shape, 2);
  const { chosen, sumsToOne, scoring } = rule;
  const scores = scoring ? graph[scoring.of](logits) : sumsToOne ? logits : graph.softmax(logits);
  const judged = scoring?.choosesByLogits ? logits : scores;
  let left = scoring ? eligible(graph, bias ? graph.add(judged, bias) : judged, scoring) : logits;
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

/** Outside the blocks, so that the choice is kept: computed again, it could change between nearly equal values. */
const bestOf = (graph: Graph, from: Node): Node => graph.within({ block: -1 }, () => graph.argmax(from, 1));

/** @param isTaken 1 where a value may no longer be chosen, otherwise 0 */
const without = (graph: Graph, from: Node, isTaken: Node): Node => graph.select(graph.greaterEqual(isTaken, 0.5), graph.scalar(OUT), from);

/** @param values of the chosen experts, [tokens, chosen] */
function weightsOf(graph: Graph, values: Node, { sumsToOne, scoring }: RoutingRule): Node {
  if (!scoring) return sumsToOne ? graph.softmax(values) : values;
  const { factor } = scoring;
  const shares = sumsToOne ? graph.div(values, divisor(graph, values, scoring)) : values;
  return graph.mul(shares, factor);
}

function divisor(graph: Graph, values: Node, rule: ScoringRule): Node {
  const sum = graph.sum(values, [1], true);
  return 'least' in rule ? graph.maximum(sum, rule.least) : graph.add(sum, rule.epsilon);
}

/**
 * The scores of experts in eligible groups, and `OUT` for all others. The eligible groups are those whose two highest scores have the
 * largest sums.
 * @param scores [tokens, experts]
 */
function eligible(graph: Graph, scores: Node, { groups }: ScoringRule): Node {
  if (!groups || groups.chosen === groups.count) return scores;
  const [tokens, experts] = dimensions(scores.shape, 2);
  const size = experts / groups.count;
  const grouped = graph.reshape(scores, [tokens * groups.count, size]);
  const others = without(graph, grouped, graph.oneHot(bestOf(graph, grouped), size));
  let left = graph.reshape(graph.add(graph.max(grouped, [1]), graph.max(others, [1])), [tokens, groups.count]);
  for (let i = 0; i < groups.chosen; i++) left = without(graph, left, graph.oneHot(bestOf(graph, left), groups.count));
  // The sums of chosen groups were replaced by OUT.
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
