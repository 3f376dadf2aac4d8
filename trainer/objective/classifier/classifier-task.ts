/** The tasks of classifiers: one label for a text or an image, a label for each token of a text, or one number. */
import type { Graph, Node } from '../../graph/graph.ts';
import { declareClassifierBatch } from '../../model/classifier-batch.ts';
import { type ClassificationLoss, classificationLoss } from '../../model/layer/classification-loss.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import type { Tracer } from '../../model/tracer.ts';
import type { BatchShape, Task } from '../../train/task.ts';

/**
 * Feeds: those of `declareClassifierBatch`; `labels` [targets], int32 classes or float32 numbers, and `weights` [targets], 0 for targets
 * that do not count. Targets are rows, or tokens where each has a label. An evaluation gives `loss`, `losses` [targets] and `logits`
 * [targets, labels].
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

/** `labels` and `weights` of a batch, of each row, or of each token where tokens have labels. */
export function declareLabels(graph: Graph, { problem }: ClassifierModel, { batch, tokens }: Pick<BatchShape, 'batch' | 'tokens'>) {
  const targets = problem === 'token_label' ? batch * tokens : batch;
  return {
    labels: graph.feed('labels', [targets], problem === 'regression' ? 'float32' : 'int32'),
    weights: graph.feed('weights', [targets]),
  };
}
