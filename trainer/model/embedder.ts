/** A text model without its head, which computes a vector for each text. */

import type { Graph, Node } from '../graph/graph.ts';
import { dimensions } from '../graph/types.ts';
import type { DenseLayer, Pooling } from '../protocol/pooling.ts';
import type { ModelOptions } from './config-json.ts';
import { inputOfDecoder, statesOfDecoder } from './family/decoder/decoder-states.ts';
import { firstToken, meanOfSeen, type TokenBatch, tokensOf } from './family/text/text-encoder.ts';
import { type AnyModel, type ClassifierModel, ModelConfigError } from './model-spec.ts';
import { linearSpec, type ModuleSpec, parametersOf } from './module-specs.ts';
import type { Tracer } from './tracer.ts';

/** Options for a model whose head is removed afterwards, so any head will do. */
export const HEADLESS: ModelOptions = { labels: ['LABEL_0'], problem: 'regression' };

/** The pooling if neither the recipe nor the model's folder specifies one. */
export const DEFAULT_POOLING: Pooling = { mode: 'mean', normalize: true };

/** The token that pads the texts of a decoder: no other token attends to it, so any token will do. */
const ANY_TOKEN = 0;

/** @throws ModelConfigError if the model does not read whole texts */
export function embedder(model: AnyModel, pooling: Pooling = DEFAULT_POOLING): ClassifierModel {
  const { input, encoder } = model.kind === 'causal' ? { input: inputOfDecoder(model, ANY_TOKEN), encoder: statesOfDecoder(model) } : model;
  if (!encoder)
    throw new ModelConfigError(
      `this ${model.family} model with a head gives no vectors of texts here; encoders such as BERT, RoBERTa, DeBERTa and ModernBERT do, and language models`,
    );
  const dense = (pooling.dense ?? []).map(denseSpec);
  const modules = [...encoder.modules, ...dense];
  const { family, blocks, hiddenSize, remark, parameters } = model;
  return {
    kind: 'classifier',
    family,
    blocks,
    hiddenSize,
    ...(remark !== undefined && { remark }),
    input,
    encoder,
    labels: [],
    problem: 'embedding',
    heads: dense,
    modules,
    parameters: withBuffers(modules, parameters),
    pooling,
    logits: (tracer, batch) => vectorsOf(tracer, encoder.states(tracer, batch), { batch: tokensOf(batch), pooling }),
  };
}

/** The parameters of the modules, plus those that belong to no module: a decoder's untrained buffers. */
const withBuffers = (modules: readonly ModuleSpec[], all: AnyModel['parameters']): AnyModel['parameters'] => {
  const own = parametersOf(modules);
  const names = new Set(own.map(({ name }) => name));
  return [...own, ...all.filter(({ buffer, name }) => buffer && !names.has(name))];
};

/** Only full fine-tuning trains it unless a recipe names it, because it counts as a head. */
const denseSpec = ({ at, width, out, biased }: DenseLayer): ModuleSpec =>
  linearSpec(`${at}.linear`, { part: 'head', layer: -1 }, out, width, biased);

/** The vectors [batch, vectorWidth] of texts, computed from their last hidden states [batch · tokens, hiddenSize]. */
export function vectorsOf(
  tracer: Tracer,
  states: Node,
  { batch, pooling: { mode, dense = [], normalize } }: { readonly batch: TokenBatch; readonly pooling: Pooling },
): Node {
  const { graph } = tracer;
  const pooled = {
    mean: () => meanOfSeen(graph, states, batch.seen),
    cls: () => firstToken(graph, states, batch.ids.shape[0] as number),
    max: () => maxOfSeen(graph, states, batch.seen),
    lasttoken: () => lastOfSeen(graph, states, batch.seen),
  }[mode]();
  const vectors = dense.reduce((x, layer) => tracer.linear(denseSpec(layer), x), pooled);
  return normalize ? unitVectors(graph, vectors) : vectors;
}

/** Lower than any state: padding is never the largest. */
const UNSEEN = -1e9;

/** The largest value of each feature over the real tokens, [batch, features]. */
function maxOfSeen(graph: Graph, hidden: Node, seen: Node): Node {
  const [batch, tokens] = dimensions(seen.shape, 2);
  const width = hidden.shape[1] as number;
  const absent = graph.mul(graph.sub(graph.scalar(1), seen), UNSEEN);
  const states = graph.add(graph.reshape(hidden, [batch, tokens, width]), graph.reshape(absent, [batch, tokens, 1]));
  return graph.max(states, [1]);
}

/** The state of the last real token, [batch, features]; texts are padded at their end. */
function lastOfSeen(graph: Graph, hidden: Node, seen: Node): Node {
  const [batch, tokens] = dimensions(seen.shape, 2);
  const width = hidden.shape[1] as number;
  const isFollowed = graph.pad(graph.sliceAxis(seen, 1, 1, tokens - 1), [0, 0], [0, 1]);
  const isLast = graph.reshape(graph.sub(seen, isFollowed), [batch, 1, tokens]);
  return graph.reshape(graph.matmul(isLast, graph.reshape(hidden, [batch, tokens, width])), [batch, width]);
}

/** The square of the smallest norm that a vector is divided by: 1e-12, as in PyTorch's `normalize`. */
const MIN_SQUARE = 1e-24;

/** Rows [rows, width] normalized to length 1; a row of zeros stays unchanged and gets no gradient. */
export function unitVectors(graph: Graph, rows: Node): Node {
  const squares = graph.maximum(graph.sum(graph.square(rows), [-1], true), MIN_SQUARE);
  return graph.div(rows, graph.sqrt(squares));
}
