/** The loss of a classifier: softmax cross-entropy over labels, logistic loss of each label by itself, or squared error for a regression. */
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';
import type { Problem } from '../model-spec.ts';

export interface ClassificationLossParams {
  readonly problem: Problem;
  /** [targets, labels], a target being a row of the batch or one of its tokens; of several labels a row [batch, labels], of a regression [batch, 1]. */
  readonly logits: Node;
  /** int32 [targets], the number of the label; of several labels a row float32 [batch · labels], 0 or 1; of a regression float32 [batch]. */
  readonly labels: Node;
  /** float32 [targets]: 0 fills up; the loss is Σ weight · loss of a sample, so 1 / targets gives the mean. */
  readonly weights: Node;
  /** Share of each target that is spread evenly over all labels; 0 where it is left out; of one label of several alone. */
  readonly labelSmoothing?: number;
}

export interface ClassificationLoss {
  /** Σ weight · loss of a sample, a scalar. */
  readonly loss: Node;
  /** [targets]: nats, or squared errors. */
  readonly losses: Node;
}

export function classificationLoss(
  graph: Graph,
  { problem, logits, labels, weights, labelSmoothing = 0 }: ClassificationLossParams,
): ClassificationLoss {
  const lossesOf: Readonly<Record<Problem, () => Node>> = {
    single_label: () => crossEntropy(graph, logits, labels, labelSmoothing),
    token_label: () => crossEntropy(graph, logits, labels, labelSmoothing),
    multi_label: () => logisticLoss(graph, logits, labels),
    regression: () => squaredError(graph, logits, labels),
    embedding: () => {
      throw new Error('vectors have no labels to compare with');
    },
  };
  const losses = lossesOf[problem]();
  return { loss: graph.sumAll(graph.mul(losses, weights)), losses };
}

const squaredError = (graph: Graph, logits: Node, labels: Node): Node =>
  graph.square(graph.sub(graph.reshape(logits, [logits.shape[0] as number]), labels));

/** −y·log σ(z) − (1 − y)·log(1 − σ(z)), which is max(z, 0) − z·y + log(1 + exp(−|z|)), of each label [batch · labels]. dz = dy · (σ(z) − y). */
function logisticLoss(graph: Graph, logits: Node, labels: Node): Node {
  const z = graph.reshape(logits, [labels.shape[0] as number]);
  const softplus = graph.add(graph.maximum(z, 0), graph.log(graph.add(graph.exp(graph.neg(graph.abs(z))), 1)));
  const losses = graph.sub(softplus, graph.mul(z, labels));
  losses.custom = {
    inputs: [z],
    rule: ({ dy, value }) => [graph.mul(graph.sub(graph.sigmoid(value(z)), value(labels)), dy)],
  };
  return losses;
}

/** −Σ t·log softmax(z) for targets t that sum to 1, which is log Σ exp(z − max z) − Σ t·(z − max z). dz = dy · (softmax(z) − t). */
function crossEntropy(graph: Graph, logits: Node, labels: Node, smoothing: number): Node {
  const [batch, count] = dimensions(logits.shape, 2);
  const hard = graph.oneHot(labels, count);
  const target = smoothing > 0 ? graph.add(graph.mul(hard, 1 - smoothing), smoothing / count) : hard;
  const below = graph.sub(logits, graph.max(logits, [-1], true));
  const losses = graph.sub(graph.log(graph.sum(graph.exp(below), [-1])), graph.sum(graph.mul(below, target), [-1]));
  losses.custom = {
    inputs: [logits],
    rule: ({ dy, value }) => [graph.mul(graph.sub(graph.softmax(value(logits)), value(target)), graph.reshape(dy, [batch, 1]))],
  };
  return losses;
}
