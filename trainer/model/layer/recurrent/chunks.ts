/** Shared parts of recurrences in chunks of tokens: sums within a chunk, and where texts begin. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { HIDDEN } from '../attention/attention.ts';
import { sharedConstant } from '../shared-constant.ts';
import { matrix } from './triangular-inverse.ts';

/** Tokens per chunk, as in Transformers' delta rule. */
export const CHUNK = 64;

export interface ChunkSizes {
  readonly batch: number;
  readonly heads: number;
  readonly tokens: number;
  /** Tokens per chunk. */
  readonly size: number;
  readonly chunks: number;
  /** Chunks of all heads of all texts. */
  readonly pieces: number;
}

/** @param chunk tokens per chunk; shorter texts have one smaller chunk */
export function chunkSizes(batch: number, heads: number, tokens: number, chunk: number): ChunkSizes {
  const size = Math.min(chunk, tokens);
  const chunks = Math.ceil(tokens / size);
  return { batch, heads, tokens, size, chunks, pieces: batch * heads * chunks };
}

/** Cumulative sums of each row. @param x [rows, size] */
export function sumUp(graph: Graph, x: Node): Node {
  const size = x.shape[1] as number;
  const upTo = sharedConstant(graph, `up to ${size}`, [size, size], () => matrix(size, (i, j) => j <= i));
  return graph.matmul(x, upTo, { transposeB: true });
}

/** [size, size], HIDDEN where the column is later than the row. */
export const futureMask = (graph: Graph, size: number): Node =>
  sharedConstant(graph, `later ${size}`, [size, size], () => matrix(size, (i, j) => j > i).map(isLater => isLater * HIDDEN));

/** The bounds of texts that follow each other in a sequence. */
export interface TextBounds {
  /** Adds HIDDEN to x [pieces, size, size] where row and column belong to different texts. */
  readonly hide: (x: Node) => Node;
  /** Sets x [pieces, size] to 0 for tokens whose text began in this chunk. */
  readonly cut: (x: Node) => Node;
  /** Adds HIDDEN to x [batch · heads, chunks, chunks] where the chunk before the row and the column's chunk end in different texts. */
  readonly hideChunks: (x: Node) => Node;
}

/** @param positions int32 [batch, tokens] */
export function textBounds(graph: Graph, positions: Node, { batch, heads, tokens, chunks, size, pieces }: ChunkSizes): TextBounds {
  // All layers share them, so they belong to no block and are kept for the backward pass.
  const { starts, hidden, continues } = graph.within({ block: -1, cheap: false }, () => {
    const filled = graph.pad(graph.cast(positions, 'float32'), [0, 0], [0, chunks * size - tokens]);
    const inChunk = sharedConstant(graph, `counting ${size}`, [1, size], () => Float32Array.from({ length: size }, (_, i) => i));
    // The position in the chunk of the first token of each token's text.
    const starts = graph.sub(inChunk, graph.reshape(filled, [batch * chunks, size]));
    const isSame = graph.equal(graph.reshape(starts, [batch * chunks, size, 1]), graph.reshape(starts, [batch * chunks, 1, size]));
    const bias = graph.select(isSame, graph.scalar(0), graph.scalar(HIDDEN));
    return {
      starts,
      hidden: graph.reshape(bias, [batch, 1, chunks * size * size]),
      continues: graph.reshape(graph.cast(graph.less(starts, 0), 'float32'), [batch, 1, chunks * size]),
    };
  });
  // The first token of the text in which each chunk ends, and the same for the chunk before it.
  const between = (): Node =>
    graph.within({ block: -1, cheap: false }, () => {
      const offsets = sharedConstant(graph, `chunks ${chunks} ${size}`, [1, chunks], () =>
        Float32Array.from({ length: chunks }, (_, i) => i * size),
      );
      const ends = graph.add(graph.reshape(graph.sliceAxis(starts, 1, size - 1, 1), [batch, chunks]), offsets);
      const before = graph.sliceAxis(graph.pad(ends, [0, 1], [0, 0]), 1, 0, chunks);
      const isSame = graph.equal(graph.reshape(before, [batch, chunks, 1]), graph.reshape(ends, [batch, 1, chunks]));
      return graph.reshape(graph.select(isSame, graph.scalar(0), graph.scalar(HIDDEN)), [batch, 1, chunks * chunks]);
    });
  return {
    hideChunks: x =>
      graph.reshape(graph.add(graph.reshape(x, [batch, heads, chunks * chunks]), between()), [batch * heads, chunks, chunks]),
    hide: x => graph.reshape(graph.add(graph.reshape(x, [batch, heads, chunks * size * size]), hidden), [pieces, size, size]),
    cut: x => graph.reshape(graph.mul(graph.reshape(x, [batch, heads, chunks * size]), continues), [pieces, size]),
  };
}
