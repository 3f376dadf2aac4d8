/** The loss of the rewards of two answers (Bradley and Terry 1952), with TRL's formulas. */
import type { Graph, Node } from '../../graph/graph.ts';
import { type AnswerLoss, lossOfMargin, softplus } from '../preference/pair-loss.ts';

export interface RewardLossParams {
  /** [pairs, 2], the better answer first. */
  readonly rewards: Node;
  /** [pairs]: how much better the better answer is. */
  readonly margins: Node;
  /** The weight of the squared sum of both rewards (Eisenstein et al. 2023). */
  readonly center: number;
}

/** −log σ(r₁ − r₂ − margin) + center · (r₁ + r₂)². The slopes are for the rewards. */
export function rewardLoss(graph: Graph, { rewards, margins, center }: RewardLossParams): AnswerLoss {
  const { losses, slopes } = lossOfMargin(graph, { scores: rewards, scale: undefined }, (_, ahead) => {
    const { value, slope } = softplus(graph, graph.sub(margins, ahead));
    return { value, slope: graph.neg(slope) };
  });
  if (center === 0) return { losses, slopes };
  const total = graph.sum(rewards, [1], true);
  const squares = graph.reshape(graph.square(total), losses.shape);
  return { losses: graph.add(losses, graph.mul(squares, center)), slopes: graph.add(slopes, graph.mul(total, 2 * center)) };
}
