/** The task of language models: predict the next token, at the positions that count. */
import type { Graph, Node } from '../../graph/graph.ts';
import { HIDDEN } from '../../model/layer/attention.ts';
import { headLoss, headLossWithGradient } from '../../model/layer/cross-entropy.ts';
import { headLogits } from '../../model/layer/head-logits.ts';
import type { CausalModel, TokenInputs } from '../../model/model-spec.ts';
import type { BatchShape, Task } from '../../train/task.ts';

export interface CausalTaskParams {
  /** Several samples share a row; attention keeps them apart. */
  readonly packed?: boolean;
  /** Evaluation also gives the logits of these tokens at one position a row: which of a few answers the model would begin. */
  readonly labelTokens?: readonly number[];
  /** Evaluation also gives the logits of all tokens at `PROBES` positions a row. */
  readonly probes?: boolean;
}

/** Positions per row at which a whole distribution is read. */
export const PROBES = 4;

/**
 * Feeds: `ids` int32 [batch, tokens]; `targetPositions`, `targetIds` int32 and `targetWeights` [targets]; with `packed` also `segments`
 * and `positions` int32 [batch, tokens]; with label tokens `labelPositions` int32 [batch] (flat, as target positions).
 * An evaluation gives `loss`, `nll` and `hits` [targets], and `labelScores` [batch, labels] where there are label tokens. With `probes`, it
 * reads `probePositions` int32 [PROBES · batch] (flat) and gives `probeLogits` [PROBES · batch, tokens of the vocabulary].
 */
export function causalTask(model: CausalModel, { packed = false, labelTokens, probes = false }: CausalTaskParams = {}): Task {
  return {
    model,
    loss(tracer, shape, requestFor, labelSmoothing = 0) {
      const { graph } = tracer;
      const feeds = declareBatch(graph, shape, packed);
      const hidden = model.hidden(tracer, feeds.inputs);
      const weight = tracer.factor(model.head.weight);
      return headLossWithGradient(
        graph,
        { hidden, weight, cap: model.logitCap, ...feeds },
        { weight: requestFor(model.head.weight), labelSmoothing },
      );
    },
    evaluation(tracer, shape): Record<string, Node> {
      const { graph } = tracer;
      const feeds = declareBatch(graph, shape, packed);
      const hidden = model.hidden(tracer, feeds.inputs);
      const weight = tracer.factor(model.head.weight);
      const { loss, nll, hits } = headLoss(graph, { hidden, weight, cap: model.logitCap, ...feeds });
      const hiddenAt = (feed: string, count: number): Node =>
        graph.gather(graph.cast(hidden, weight.dtype), graph.feed(feed, [count], 'int32'));
      const outputs: Record<string, Node> = { loss, nll, hits };
      if (labelTokens) {
        const answers = graph.gather(weight, graph.constant(Int32Array.from(labelTokens), [labelTokens.length], 'int32'));
        outputs.labelScores = headLogits(graph, model, hiddenAt('labelPositions', shape.batch), answers);
      }
      if (probes) outputs.probeLogits = headLogits(graph, model, hiddenAt('probePositions', PROBES * shape.batch), weight);
      return outputs;
    },
  };
}

interface LossFeeds {
  readonly inputs: TokenInputs;
  readonly targetPositions: Node;
  readonly targetIds: Node;
  readonly targetWeights: Node;
}

function declareBatch(graph: Graph, { batch, tokens, targets }: BatchShape, packed: boolean): LossFeeds {
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const common = {
    targetPositions: graph.feed('targetPositions', [targets], 'int32'),
    targetIds: graph.feed('targetIds', [targets], 'int32'),
    targetWeights: graph.feed('targetWeights', [targets]),
  };
  // Right padding needs no mask: a causal query never sees what comes after it.
  if (!packed) return { ...common, inputs: { ids, mask: { kind: 'causal' } } };
  const segments = graph.feed('segments', [batch, tokens], 'int32');
  const same = graph.equal(graph.reshape(segments, [batch, tokens, 1]), graph.reshape(segments, [batch, 1, tokens]));
  const bias = graph.select(same, graph.scalar(0), graph.scalar(HIDDEN));
  return {
    ...common,
    inputs: { ids, mask: { kind: 'bias', bias, causal: true }, positions: graph.feed('positions', [batch, tokens], 'int32') },
  };
}
