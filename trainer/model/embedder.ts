/** An encoder of text without its head, which gives a vector for each text. */

import type { Graph, Node } from '../graph/graph.ts';
import { dimensions } from '../graph/types.ts';
import type { ModelOptions } from './config-json.ts';
import { firstToken, meanOfSeen, type TokenBatch, tokensOf } from './family/text/text-encoder.ts';
import { type AnyModel, type ClassifierModel, ModelConfigError, type Pooling } from './model-spec.ts';
import { parametersOf } from './module-specs.ts';

/** Options of a model whose head is left out afterwards: any head will do. */
export const HEADLESS: ModelOptions = { labels: ['LABEL_0'], problem: 'regression' };

/** The pooling where neither the recipe nor the folder of the model says otherwise. */
export const DEFAULT_POOLING: Pooling = { mode: 'mean', normalize: true };

/** @throws ModelConfigError where the model does not read whole texts */
export function embedder(model: AnyModel, pooling: Pooling = DEFAULT_POOLING): ClassifierModel {
  if (model.kind !== 'classifier' || !model.encoder)
    throw new ModelConfigError(
      `a ${model.family} gives no vectors of texts here; encoders such as BERT, RoBERTa, DeBERTa and ModernBERT do`,
    );
  const { modules, states } = model.encoder;
  return {
    ...model,
    labels: [],
    problem: 'embedding',
    heads: [],
    modules,
    parameters: parametersOf(modules),
    pooling,
    logits: (tracer, batch) => poolStates(tracer.graph, states(tracer, batch), { batch: tokensOf(batch), pooling }),
  };
}

/** The vectors [batch, hiddenSize] of texts, from their last hidden states [batch · tokens, hiddenSize]. */
export function poolStates(
  graph: Graph,
  states: Node,
  { batch, pooling: { mode, normalize } }: { readonly batch: TokenBatch; readonly pooling: Pooling },
) {
  const pooled = {
    mean: () => meanOfSeen(graph, states, batch.seen),
    cls: () => firstToken(graph, states, batch.ids.shape[0] as number),
    max: () => maxOfSeen(graph, states, batch.seen),
  }[mode]();
  return normalize ? unitVectors(graph, pooled) : pooled;
}

/** Lower than any state: padding is never the largest. */
const UNSEEN = -1e9;

/** The largest value of each feature over the tokens that are there, [batch, features]. */
function maxOfSeen(graph: Graph, hidden: Node, seen: Node): Node {
  const [batch, tokens] = dimensions(seen.shape, 2);
  const width = hidden.shape[1] as number;
  const absent = graph.mul(graph.sub(graph.scalar(1), seen), UNSEEN);
  const states = graph.add(graph.reshape(hidden, [batch, tokens, width]), graph.reshape(absent, [batch, tokens, 1]));
  return graph.max(states, [1]);
}

/** The square of the least length that a vector is divided by: 1e-12, as in PyTorch's `normalize`. */
const LEAST_SQUARE = 1e-24;

/** Rows [rows, width] brought to length 1; a row of zeros stays as it is, and gets no gradient. */
export function unitVectors(graph: Graph, rows: Node): Node {
  const squares = graph.maximum(graph.sum(graph.square(rows), [-1], true), LEAST_SQUARE);
  return graph.div(rows, graph.sqrt(squares));
}
