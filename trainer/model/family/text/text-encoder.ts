/** The parts that text encoders share: the embedding of tokens, and the pooling of the last states. */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { counting } from '../../layer/counting.ts';
import { addPositions } from '../../layer/positions/learned.ts';
import { type ClassifierBatch, ModelConfigError } from '../../model-spec.ts';
import { asPartOf, type BiasedSpec, embeddingSpec, type FilePart, layerNormSpec, linearSpec, type ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';

export type TokenBatch = Extract<ClassifierBatch, { kind: 'tokens' }>;

/** @throws ModelConfigError if a text model is given an image */
export function tokensOf(batch: ClassifierBatch): TokenBatch {
  if (batch.kind !== 'tokens') throw new ModelConfigError('this model takes text, not images');
  return batch;
}

export interface TextConfig {
  readonly prefix: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Width of the embedding tables, and the layer that projects it to the hidden size; by default, the tables have the hidden size. */
  readonly narrow?: { readonly size: number; readonly projection: string } | undefined;
  /** Rows of the position table (0: none), and the row of a sequence's first token. */
  readonly positions: number;
  readonly firstPosition: number;
  /** RoBERTa: the token that has no position of its own, wherever it occurs; other positions are counted from after it. */
  readonly uncounted: number | undefined;
  /** The padding row of the word table, which gets no gradient. */
  readonly paddingRow: number | undefined;
  /** Rows of the segment table; 0: none. */
  readonly tokenTypes: number;
  /** The norm in files, if they give it another name. */
  readonly normInFiles?: FilePart;
  readonly epsilon: number;
  readonly dropout: number;
}

export interface TextEmbedding {
  readonly words: ModuleSpec;
  readonly positions: ModuleSpec | undefined;
  readonly types: ModuleSpec | undefined;
  readonly norm: BiasedSpec;
  readonly projection: ModuleSpec | undefined;
}

export function textEmbedding(config: TextConfig): TextEmbedding {
  const { prefix, vocabularySize, hiddenSize, narrow, positions, tokenTypes, normInFiles, uncounted, paddingRow } = config;
  const width = narrow?.size ?? hiddenSize;
  const norm = layerNormSpec(`${prefix}embeddings.LayerNorm`, -1, width);
  const table = (name: string, rows: number, padding?: number) =>
    rows > 0 ? embeddingSpec(`${prefix}embeddings.${name}`, rows, width, padding) : undefined;
  return {
    words: embeddingSpec(`${prefix}embeddings.word_embeddings`, vocabularySize, width, paddingRow),
    positions: table('position_embeddings', positions, uncounted),
    types: table('token_type_embeddings', tokenTypes),
    norm: normInFiles ? asPartOf(norm, normInFiles) : norm,
    projection: narrow && linearSpec(narrow.projection, { part: 'embedding', layer: -1 }, hiddenSize, width),
  };
}

export const embeddingModules = ({ words, positions, types, norm, projection }: TextEmbedding): ModuleSpec[] =>
  [words, positions, types, norm, projection].filter(module => module !== undefined);

/** The sum of word, segment and position embeddings, normalized and projected to the hidden size: [batch · tokens, hiddenSize]. */
export function embedText(tracer: Tracer, { ids, types }: TokenBatch, modules: TextEmbedding, config: TextConfig): Node {
  const { graph } = tracer;
  const [batch, tokens] = dimensions(ids.shape, 2);
  const word = tracer.embedding(modules.words, graph.reshape(ids, [batch * tokens]));
  const typed = modules.types ? graph.add(word, typesOf(tracer, modules.types, types)) : word;
  const sum = modules.positions ? positioned(tracer, typed, modules.positions, ids, config) : typed;
  const x = tracer.dropout(tracer.layerNorm(modules.norm, sum, config.epsilon), config.dropout);
  return modules.projection ? tracer.linear(modules.projection, x) : x;
}

/** The segment embeddings. Without types, every token has the first segment: one row, [1, hiddenSize]. */
function typesOf(tracer: Tracer, table: ModuleSpec, types: Node | undefined): Node {
  const { graph } = tracer;
  if (!types) return tracer.embedding(table, counting(graph, 0, 1), 1);
  const [batch, tokens] = dimensions(types.shape, 2);
  return tracer.embedding(table, graph.reshape(types, [batch * tokens]));
}

function positioned(tracer: Tracer, x: Node, table: ModuleSpec, ids: Node, { firstPosition, uncounted }: TextConfig): Node {
  const [batch, tokens] = dimensions(ids.shape, 2);
  if (uncounted !== undefined) return addCountedPositions(tracer, table, x, ids, uncounted);
  return addPositions(tracer, table, x, { batch, tokens, first: firstPosition });
}

/** Adds rows to x [batch · tokens, width]: see {@link TextConfig.uncounted}. */
export const addCountedPositions = (tracer: Tracer, table: ModuleSpec, x: Node, ids: Node, uncounted: number): Node =>
  tracer.graph.add(x, tracer.embedding(table, countedPositions(tracer, ids, uncounted)));

/** `uncounted` for that token itself, otherwise `uncounted` plus the number of other tokens up to this one: int32 [batch · tokens]. */
function countedPositions({ graph, longest }: Tracer, ids: Node, uncounted: number): Node {
  const [batch, tokens] = dimensions(ids.shape, 2);
  const counts = graph.sub(graph.scalar(1), graph.cast(graph.equal(ids, graph.scalar(uncounted, 'int32')), 'float32'));
  const sums = longest === undefined ? runningSums(graph, counts, tokens) : graph.matmul(counts, upTo(graph, tokens));
  return graph.reshape(graph.cast(graph.add(graph.mul(sums, counts), uncounted), 'int32'), [batch * tokens]);
}

/** Cumulative sums of x [batch, tokens], by doubling: after each round, an entry holds the sum of twice as many tokens. */
function runningSums(graph: Graph, x: Node, tokens: number): Node {
  let sums = x;
  for (let step = 1; step < tokens; step *= 2)
    sums = graph.add(sums, graph.pad(graph.sliceAxis(sums, 1, 0, tokens - step), [0, step], [0, 0]));
  return sums;
}

/** [tokens, tokens], 1 where the column is at or after the row. */
function upTo(graph: Graph, tokens: number): Node {
  const positions = counting(graph, 0, tokens);
  return graph.cast(graph.greaterEqual(graph.reshape(positions, [1, tokens]), graph.reshape(positions, [tokens, 1])), 'float32');
}

/** The first token's state, [batch · tokens, features] → [batch, features]. */
export function firstToken(graph: Graph, hidden: Node, batch: number): Node {
  const [rows, width] = dimensions(hidden.shape, 2);
  const states = graph.reshape(hidden, [batch, rows / batch, width]);
  return graph.reshape(graph.sliceAxis(states, 1, 0, 1), [batch, width]);
}

/** The mean state of the real tokens, [batch, features]: the sentence embedding of MiniLM, before normalization to length 1. */
export function meanOfSeen(graph: Graph, hidden: Node, seen: Node): Node {
  const [batch, tokens] = dimensions(seen.shape, 2);
  const width = hidden.shape[1] as number;
  const sum = graph.matmul(graph.reshape(seen, [batch, 1, tokens]), graph.reshape(hidden, [batch, tokens, width]));
  return graph.div(graph.reshape(sum, [batch, width]), graph.maximum(graph.sum(seen, [1], true), 1));
}
