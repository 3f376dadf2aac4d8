/** The task of encoders whose vectors are compared with each other. */
import { groupForm, textsOf } from '../../data/text-groups/group-form.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';
import { declareClassifierBatch } from '../../model/classifier-batch.ts';
import { type ClassifierModel, vectorWidth } from '../../model/model-spec.ts';
import type { Tracer } from '../../model/tracer.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { BatchShape, Task } from '../../train/task.ts';
import { embeddingLoss } from './embedding-loss.ts';

/**
 * Feeds: those of `groupSource`. An evaluation outputs `loss`, `losses` [samples] and `vectors` [batch, width], with the texts of a sample
 * in neighboring rows.
 */
export function embeddingTask(model: ClassifierModel, settings: Recipe['embedding']): Task {
  const rowsPerSample = textsOf(groupForm(settings));
  const { mini_batch_size: miniBatch } = settings;
  const vectorsOf = (tracer: Tracer, shape: BatchShape): Node =>
    model.logits(tracer, declareClassifierBatch(tracer.graph, model.input, shape));
  const compare = (graph: Graph, vectors: Node) => {
    const samples = dimensions(vectors.shape, 2)[0] / rowsPerSample;
    const comparison = { weights: graph.feed('weights', [samples]), scores: graph.feed('scores', [samples]) };
    return embeddingLoss(graph, { vectors, ...comparison }, settings);
  };
  const trace = (tracer: Tracer, shape: BatchShape) => {
    const vectors = vectorsOf(tracer, shape);
    return { vectors, ...compare(tracer.graph, vectors) };
  };
  return {
    model,
    rowsPerSample,
    ...(miniBatch !== undefined && {
      cached: {
        rows: rowsPerSample * miniBatch,
        width: vectorWidth(model),
        outputs: vectorsOf,
        loss: (graph, vectors) => compare(graph, vectors).loss,
        lossFeeds: ['weights', 'scores'],
      },
    }),
    loss(tracer, shape) {
      const { loss } = trace(tracer, shape);
      return { loss, seeds: [{ node: loss, gradient: tracer.graph.scalar(1) }] };
    },
    evaluation(tracer, shape): Record<string, Node> {
      return trace(tracer, shape);
    },
  };
}
