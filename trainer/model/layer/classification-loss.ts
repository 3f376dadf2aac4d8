/** The loss of a classifier: softmax cross-entropy over labels, or squared error for a regression. */
import type { Graph, Node } from '../../graph/graph.ts';
import type { Problem } from '../model-spec.ts';

export interface ClassificationLossParams {
  readonly problem: Problem;
  /** [batch, labels]; of a regression [batch, 1]. */
  readonly logits: Node;
  /** int32 [batch], the number of the label; of a regression float32 [batch]. */
  readonly labels: Node;
  /** float32 [batch]: 0 fills up; the loss is Σ weight · loss of a sample, so 1 / samples gives the mean. */
  readonly weights: Node;
}

export interface ClassificationLoss {
  /** Σ weight · loss of a sample, a scalar. */
  readonly loss: Node;
  /** [batch]: nats, or squared errors. */
  readonly losses: Node;
}

export function classificationLoss(graph: Graph, { problem, logits, labels, weights }: ClassificationLossParams): ClassificationLoss {
  const losses = problem === 'regression' ? squaredError(graph, logits, labels) : crossEntropy(graph, logits, labels);
  return { loss: graph.sumAll(graph.mul(losses, weights)), losses };
}

const squaredError = (graph: Graph, logits: Node, labels: Node): Node =>
  graph.square(graph.sub(graph.reshape(logits, [logits.shape[0] as number]), labels));

/** −log softmax(z)[label], which is log Σ exp(z − max z) − (z[label] − max z). dz = dy · (softmax(z) − onehot(label)). */
function crossEntropy(graph: Graph, logits: Node, labels: Node): Node {
  const [batch, count] = logits.shape as [number, number];
  const target = graph.oneHot(labels, count);
  const below = graph.sub(logits, graph.max(logits, [-1], true));
  const losses = graph.sub(graph.log(graph.sum(graph.exp(below), [-1])), graph.sum(graph.mul(below, target), [-1]));
  losses.custom = {
    inputs: [logits],
    rule: ({ dy, value }) => [graph.mul(graph.sub(graph.softmax(value(logits)), value(target)), graph.reshape(dy, [batch, 1]))],
  };
  return losses;
}
