/** What encoders of text share: how their outputs are pooled. */
import type { Graph, Node } from '../../graph/graph.ts';
import { type ClassifierBatch, ModelConfigError } from '../model-spec.ts';

export type TokenBatch = Extract<ClassifierBatch, { kind: 'tokens' }>;

/** @throws ModelConfigError where a model of text is given an image */
export function tokensOf(batch: ClassifierBatch): TokenBatch {
  if (batch.kind !== 'tokens') throw new ModelConfigError('this model reads text, and was given an image');
  return batch;
}

/** The first token's state, [batch · tokens, features] → [batch, features]. */
export function firstToken(graph: Graph, hidden: Node, batch: number): Node {
  const [rows, width] = hidden.shape as [number, number];
  const states = graph.reshape(hidden, [batch, rows / batch, width]);
  return graph.reshape(graph.sliceAxis(states, 1, 0, 1), [batch, width]);
}

/** The mean state of the tokens that are there, [batch, features]: the sentence embedding of MiniLM, before it is brought to length 1. */
export function meanOfSeen(graph: Graph, hidden: Node, seen: Node): Node {
  const [batch, tokens] = seen.shape as [number, number];
  const width = hidden.shape[1] as number;
  const sum = graph.matmul(graph.reshape(seen, [batch, 1, tokens]), graph.reshape(hidden, [batch, tokens, width]));
  return graph.div(graph.reshape(sum, [batch, width]), graph.maximum(graph.sum(seen, [1], true), 1));
}

/** The numbers `first` … `first + count − 1`, int32 [count]. */
export const counting = (graph: Graph, first: number, count: number): Node =>
  graph.constant(
    Int32Array.from({ length: count }, (_, i) => first + i),
    [count],
    'int32',
  );
