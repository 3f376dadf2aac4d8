/** Turns the reference numbers of a causal language model into a program: padded tokens, with the next token as the target. */
import { Graph } from '../graph/graph.ts';
import type { HostArray } from '../graph/types.ts';
import { dimensions } from '../graph/types.ts';
import { HIDDEN } from '../model/layer/attention/attention.ts';
import { headLossWithGradient } from '../model/layer/loss/cross-entropy.ts';
import { headLogits, headNodes } from '../model/layer/loss/head-logits.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import type { Forward } from './forward.ts';
import { type Golden, idsOf, inputOf } from './golden.ts';

export function traceCausal(model: CausalModel, golden: Golden): Forward {
  const graph = new Graph();
  const [batch, tokens] = dimensions(idsOf(golden, model).shape, 2);
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const seen = graph.feed('seen', [batch, 1, tokens]);
  const bias = graph.mul(graph.sub(graph.scalar(1), seen), HIDDEN);
  const tracer = new Tracer({ graph });
  const hidden = model.hidden(tracer, { ids, seen, mask: { kind: 'bias', bias, causal: true } });
  const head = headNodes(tracer, model);
  const logits = headLogits(graph, model, hidden, head);
  const targets = labeled(golden).length;
  const { loss, seeds } = headLossWithGradient(
    graph,
    {
      hidden,
      ...head,
      cap: model.logitCap,
      targetPositions: graph.feed('targetPositions', [targets], 'int32'),
      targetIds: graph.feed('targetIds', [targets], 'int32'),
      targetWeights: graph.feed('targetWeights', [targets]),
    },
    { weight: 'all', bias: 'all' },
  );
  return { graph, logits, loss, seeds };
}

export function feedsOfCausal(golden: Golden): Record<string, HostArray> {
  const targets = labeled(golden);
  const ids = inputOf(golden, 'input_ids', 2);
  return {
    ids: Int32Array.from(ids.data),
    seen: Float32Array.from(golden.inputs.attention_mask?.data ?? ids.data.map(() => 1)),
    targetPositions: Int32Array.from(targets, target => target.position),
    targetIds: Int32Array.from(targets, target => target.id),
    targetWeights: new Float32Array(targets.length).fill(1 / targets.length),
  };
}

/** Positions whose output predicts a labeled token: the label of token t is predicted at t − 1. */
function labeled(golden: Golden): { position: number; id: number }[] {
  const [, tokens] = dimensions(golden.labels.shape, 2);
  return golden.labels.data.flatMap((id, at) => (id >= 0 && at % tokens > 0 ? [{ position: at - 1, id }] : []));
}
