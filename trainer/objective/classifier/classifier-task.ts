/**
 * The tasks of classifiers: one label for a text or an image, several labels for a text, a label for each token of a text, or one number.
 */
import type { Graph, Node } from '../../graph/graph.ts';
import { declareClassifierBatch } from '../../model/classifier-batch.ts';
import { type ClassificationLoss, classificationLoss } from '../../model/layer/loss/classification-loss.ts';
import { type ClassifierModel, isNumeric } from '../../model/model-spec.ts';
import type { Tracer } from '../../model/tracer.ts';
import type { BatchShape, Task } from '../../train/task.ts';

/**
 * Feeds: those of `declareClassifierBatch`; `labels` [targets], int32 classes or float32 numbers, and `weights` [targets], 0 for targets
 * that do not count. Targets are rows; tokens, if each has a label; or row–label pairs, if a row may have several labels. An evaluation
 * outputs `loss`, `losses` [targets] and `logits` [targets, labels].
 */
export function classifierTask(model: ClassifierModel): Task {
  return {
    model,
    loss(tracer, shape, _, labelSmoothing) {
      const { loss } = trace(model, tracer, shape, labelSmoothing);
      return { loss, seeds: [{ node: loss, gradient: tracer.graph.scalar(1) }] };
    },
    evaluation(tracer, shape): Record<string, Node> {
      const { loss, losses, logits } = trace(model, tracer, shape);
      return { loss, losses, logits };
    },
  };
}

function trace(
  model: ClassifierModel,
  tracer: Tracer,
  shape: BatchShape,
  labelSmoothing?: number,
): ClassificationLoss & { readonly logits: Node } {
  const { graph } = tracer;
  const logits = model.logits(tracer, declareClassifierBatch(graph, model.input, shape));
  return {
    logits,
    ...classificationLoss(graph, { problem: model.problem, logits, labelSmoothing, ...declareLabels(graph, model, shape) }),
  };
}

/** Declares `labels` and `weights` of a batch: one per row, per token if tokens have labels, or per row and label for several labels. */
function declareLabels(graph: Graph, { problem, labels }: ClassifierModel, { batch, tokens }: Pick<BatchShape, 'batch' | 'tokens'>) {
  const perRow = { single_label: 1, regression: 1, token_label: tokens, multi_label: labels.length, embedding: 1 }[problem];
  const targets = batch * perRow;
  return {
    labels: graph.feed('labels', [targets], isNumeric(problem) ? 'float32' : 'int32'),
    weights: graph.feed('weights', [targets]),
  };
}
