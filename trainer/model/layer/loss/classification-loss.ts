/** The loss of a classifier: softmax cross-entropy, one logistic loss per label (multi-label), or squared error (regression). */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import type { Problem } from '../../model-spec.ts';

export interface ClassificationLossParams {
  readonly problem: Problem;
  /** [targets, labels], where a target is a sample or one of its tokens. Multi-label: [batch, labels]; regression: [batch, 1]. */
  readonly logits: Node;
  /** int32 [targets], the index of the label. Multi-label: float32 [batch · labels], 0 or 1; regression: float32 [batch]. */
  readonly labels: Node;
  /** float32 [targets]; padding has weight 0. The loss is Σ weight · loss of a sample, so weights of 1 / targets give the mean. */
  readonly weights: Node;
  /** Share of each target that is spread evenly over all labels, 0 by default; used only with one label per target. */
  readonly labelSmoothing?: number;
}

export interface ClassificationLoss {
  /** Σ weight · loss of a sample, a scalar. */
  readonly loss: Node;
  /** [targets]: the loss of each target, in nats or as a squared error. */
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

/** −y·log σ(z) − (1 − y)·log(1 − σ(z)) of each label, [batch · labels], as max(z, 0) − z·y + log(1 + exp(−|z|)). dz = dy · (σ(z) − y). */
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

/** −Σ t·log softmax(z) for targets t that sum to 1, as log Σ exp(z − max z) − Σ t·(z − max z). dz = dy · (softmax(z) − t). */
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
