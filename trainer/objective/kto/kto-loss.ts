/** Losses of answers that were judged good or bad (Ethayarajh et al. 2024, equation 7; D'Oosterlinck et al. 2024), with TRL's formulas. */
import { preferenceLosses } from '../../catalog/preference-losses.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { AnswerLoss, AnswerNodes } from '../preference/pair-loss.ts';

type Settings = Recipe['preference'];

/** A judged answer. */
export interface Judged {
  readonly isGood: boolean;
  /** Its log-probability minus that under the base model. */
  readonly ratio: number;
}

export const hasReferencePoint = ({ loss_type: type }: Pick<Settings, 'loss_type'>): boolean =>
  preferenceLosses[type].hasReferencePoint === true;

/**
 * weight · (1 − σ(β·s·(ratio − point))), with s = 1 for a good answer and −1 for a bad one. The reference point is the mean log-ratio of
 * the batch's mismatched answers, at least 0, and a constant for the gradient; without mismatched answers it is 0.
 * Feeds: `judgments` [samples], which is s, or 0 for padding.
 */
export const ktoLoss =
  ({ beta, desirable_weight: good, undesirable_weight: bad }: Settings) =>
  (graph: Graph, { ratios }: AnswerNodes): AnswerLoss => {
    const [samples = 1, answers = 1] = ratios.shape;
    const judgments = graph.feed('judgments', [samples]);
    const column = (at: number): Node => graph.reshape(graph.sliceAxis(ratios, 1, at, 1), [samples]);
    const present = graph.abs(judgments);
    const own = column(0);
    const centered = answers > 1 ? graph.sub(own, referencePoint(graph, column(1), present)) : own;
    const missed = graph.sigmoid(graph.mul(graph.mul(judgments, centered), -beta));
    // (|s| + s) / 2 is 1 only for a good answer.
    const weights = graph.add(graph.mul(present, (good + bad) / 2), graph.mul(judgments, (good - bad) / 2));
    const losses = graph.mul(weights, missed);
    const slopes = graph.mul(graph.mul(losses, graph.sub(graph.scalar(1), missed)), graph.mul(judgments, -beta));
    const ofAnswers = graph.reshape(slopes, [samples, 1]);
    return { losses, slopes: answers > 1 ? graph.concat([ofAnswers, graph.zeros([samples, answers - 1])], 1) : ofAnswers };
  };

function referencePoint(graph: Graph, ratios: Node, present: Node): Node {
  // The whole batch has one point, and each process may hold a part of the batch.
  const count = graph.maximum(graph.totalOf(graph.sumAll(present)), 1);
  return graph.relu(graph.div(graph.totalOf(graph.sumAll(graph.mul(ratios, present))), count));
}

/** The same loss of one answer, outside a program. @param point see `pointOf` */
export function lossOfJudged({ isGood, ratio }: Judged, point: number, { beta, desirable_weight, undesirable_weight }: Settings): number {
  const ahead = isGood ? ratio - point : point - ratio;
  return (isGood ? desirable_weight : undesirable_weight) / (1 + Math.exp(beta * ahead));
}

/** The reference point for the log-ratios of mismatched answers. */
export const pointOf = (mismatched: readonly number[]): number =>
  mismatched.length === 0 ? 0 : Math.max(0, mismatched.reduce((sum, ratio) => sum + ratio, 0) / mismatched.length);
