/** What encoders of text share: how tokens become vectors, and how the last states are pooled. */
import type { Graph, Node } from '../../graph/graph.ts';
import { type BiasedSpec, type ClassifierBatch, ModelConfigError, type ModuleSpec } from '../model-spec.ts';
import { embeddingSpec, layerNormSpec } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';

export type TokenBatch = Extract<ClassifierBatch, { kind: 'tokens' }>;

/** @throws ModelConfigError where a model of text is given an image */
export function tokensOf(batch: ClassifierBatch): TokenBatch {
  if (batch.kind !== 'tokens') throw new ModelConfigError('this model reads text, and was given an image');
  return batch;
}

export interface TextConfig {
  readonly prefix: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Rows of the position table (0: none), and the row of a sequence's first token. */
  readonly positions: number;
  readonly firstPosition: number;
  /** Rows of the segment table; 0: none. */
  readonly tokenTypes: number;
  readonly epsilon: number;
  readonly dropout: number;
}

export interface TextEmbedding {
  readonly words: ModuleSpec;
  readonly positions: ModuleSpec | undefined;
  readonly types: ModuleSpec | undefined;
  readonly norm: BiasedSpec;
}

export function textEmbedding({ prefix, vocabularySize, hiddenSize, positions, tokenTypes }: TextConfig): TextEmbedding {
  const table = (name: string, rows: number) => (rows > 0 ? embeddingSpec(`${prefix}embeddings.${name}`, rows, hiddenSize) : undefined);
  return {
    words: embeddingSpec(`${prefix}embeddings.word_embeddings`, vocabularySize, hiddenSize),
    positions: table('position_embeddings', positions),
    types: table('token_type_embeddings', tokenTypes),
    norm: layerNormSpec(`${prefix}embeddings.LayerNorm`, -1, hiddenSize),
  };
}

export const embeddingModules = ({ words, positions, types, norm }: TextEmbedding): ModuleSpec[] =>
  [words, positions, types, norm].filter(module => module !== undefined);

/** Word, segment and position, added up and normalised: [batch · tokens, hiddenSize]. */
export function embedText(tracer: Tracer, { ids, types }: TokenBatch, modules: TextEmbedding, config: TextConfig): Node {
  const { graph } = tracer;
  const [batch, tokens] = ids.shape as [number, number];
  const word = tracer.embedding(modules.words, graph.reshape(ids, [batch * tokens]));
  const typed = modules.types ? graph.add(word, typesOf(tracer, modules.types, types)) : word;
  const sum = modules.positions ? addPositions(tracer, typed, modules.positions, { batch, tokens, first: config.firstPosition }) : typed;
  return tracer.dropout(tracer.layerNorm(modules.norm, sum, config.epsilon), config.dropout);
}

/** Without types every token is of the first: one row, [1, hiddenSize]. */
function typesOf(tracer: Tracer, table: ModuleSpec, types: Node | undefined): Node {
  const { graph } = tracer;
  if (!types) return tracer.embedding(table, counting(graph, 0, 1), 1);
  const [batch, tokens] = types.shape as [number, number];
  return tracer.embedding(table, graph.reshape(types, [batch * tokens]));
}

/** Every sequence counts from the same row, so each position is looked up once. */
function addPositions(tracer: Tracer, x: Node, table: ModuleSpec, at: { batch: number; tokens: number; first: number }): Node {
  const { graph } = tracer;
  const position = tracer.embedding(table, counting(graph, at.first, at.tokens), at.tokens);
  return graph.reshape(graph.add(graph.reshape(x, [at.batch, at.tokens, x.shape[1] as number]), position), x.shape);
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
