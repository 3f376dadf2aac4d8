/** The tasks of classifiers: one label for a text or an image, or one number. */
import type { Graph, Node } from '../graph/graph.ts';
import { classificationLoss } from '../model/layer/classification-loss.ts';
import type { ClassifierBatch, ClassifierModel } from '../model/model-spec.ts';
import type { BatchShape, Task } from './task.ts';

export interface ClassifierTaskParams {
  /** Two texts a sample: the model is told which token is whose. */
  readonly pairs?: boolean;
}

/**
 * Feeds: of texts `ids` int32 and `seen` [batch, tokens], with `pairs` also `types` int32 where the model tells segments apart; of images
 * `pixels` [batch, height, width, channels]; `labels` [batch], int32 classes or float32 numbers, and `weights` [batch], 0 in rows that only fill up.
 * An evaluation gives `loss`, `losses` [batch] and `logits` [batch, labels].
 */
export function classifierTask(model: ClassifierModel, { pairs = false }: ClassifierTaskParams = {}): Task {
  return {
    model,
    loss(tracer, { batch, tokens }) {
      const { graph } = tracer;
      const logits = model.logits(tracer, declareInput(graph, model, { batch, tokens, pairs }));
      const { loss } = classificationLoss(graph, { logits, problem: model.problem, ...declareLabels(graph, model, batch) });
      return { loss, seeds: [{ node: loss, gradient: graph.scalar(1) }] };
    },
    evaluation(tracer, { batch, tokens }): Record<string, Node> {
      const { graph } = tracer;
      const logits = model.logits(tracer, declareInput(graph, model, { batch, tokens, pairs }));
      const { loss, losses } = classificationLoss(graph, { logits, problem: model.problem, ...declareLabels(graph, model, batch) });
      return { loss, losses, logits };
    },
  };
}

const declareLabels = (graph: Graph, { problem }: ClassifierModel, batch: number) => ({
  labels: graph.feed('labels', [batch], problem === 'regression' ? 'float32' : 'int32'),
  weights: graph.feed('weights', [batch]),
});

function declareInput(
  graph: Graph,
  { input }: ClassifierModel,
  { batch, tokens, pairs }: Pick<BatchShape, 'batch' | 'tokens'> & { readonly pairs: boolean },
): ClassifierBatch {
  if (input.kind === 'image') return { kind: 'image', pixels: graph.feed('pixels', [batch, input.height, input.width, input.channels]) };
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const seen = graph.feed('seen', [batch, tokens]);
  const types = pairs && input.tokenTypes > 1 ? graph.feed('types', [batch, tokens], 'int32') : undefined;
  return { kind: 'tokens', ids, seen, types };
}
