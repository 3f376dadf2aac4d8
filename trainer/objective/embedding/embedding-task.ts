/** The task of encoders whose vectors are compared with each other. */
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import type { Node } from '../../graph/graph.ts';
import { declareClassifierBatch } from '../../model/classifier-batch.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import type { Tracer } from '../../model/tracer.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import type { BatchShape, Task } from '../../train/task.ts';
import { embeddingLoss } from './embedding-loss.ts';

/**
 * Feeds: those of `groupSource`. An evaluation gives `loss`, `losses` [samples] and `vectors` [batch, width], the texts of a sample in
 * neighboring rows.
 */
export function embeddingTask(model: ClassifierModel, settings: Recipe['embedding']): Task {
  const rowsPerSample = textsOf(groupForm(settings));
  const trace = (tracer: Tracer, shape: BatchShape) => {
    const { graph } = tracer;
    const vectors = model.logits(tracer, declareClassifierBatch(graph, model.input, shape));
    const samples = shape.batch / rowsPerSample;
    const comparison = { weights: graph.feed('weights', [samples]), scores: graph.feed('scores', [samples]) };
    return { vectors, ...embeddingLoss(graph, { vectors, ...comparison }, settings) };
  };
  return {
    model,
    rowsPerSample,
    loss(tracer, shape) {
      const { loss } = trace(tracer, shape);
      return { loss, seeds: [{ node: loss, gradient: tracer.graph.scalar(1) }] };
    },
    evaluation(tracer, shape): Record<string, Node> {
      return trace(tracer, shape);
    },
  };
}
