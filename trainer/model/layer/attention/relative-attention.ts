/**
 * Relative positions in the attention scores, and their buckets: two terms in DeBERTa (He et al. 2021, equation 4), and one number per head
 * in T5 (Raffel et al. 2020, section 2.1).
 */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { lastOf } from '../../../narrow.ts';
import { splitHeads } from './self-attention.ts';

export interface RelativeTable {
  /** Half the rows of the table. */
  readonly span: number;
  /** Number of buckets; 0: each distance has its own row. */
  readonly buckets: number;
  readonly maxDistance: number;
}

/** The table row of each distance −(tokens − 1) … tokens − 1 (query minus key), in ascending order. */
export function relativeIndices(tokens: number, { span, buckets, maxDistance }: RelativeTable): number[] {
  return Array.from({ length: 2 * tokens - 1 }, (_, i) => {
    const distance = i - (tokens - 1);
    const bucket = buckets > 0 ? logBucket(distance, buckets, maxDistance) : distance;
    return Math.min(Math.max(bucket + span, 0), 2 * span - 1);
  });
}

/** The rows of the table that a graph reads, and the index of each distance among them. */
export interface RelativeRows {
  readonly first: number;
  readonly count: number;
  /** The row, counted from `first`, of each distance −(longest − 1) … longest − 1. */
  readonly ofDistance: readonly number[];
}

/** The rows that texts of one length use. */
export function usedRows(tokens: number, table: RelativeTable): RelativeRows {
  const indices = relativeIndices(tokens, table);
  const first = indices[0] as number;
  return { first, count: lastOf(indices) - first + 1, ofDistance: indices.map(index => index - first) };
}

/**
 * All rows of the table, with indices for distances up to `longest`, one more than a text can have. So the longest text reads part of the
 * indices, as shorter ones do.
 */
export const allRows = (longest: number, table: RelativeTable): RelativeRows => ({
  first: 0,
  count: 2 * table.span,
  ofDistance: relativeIndices(longest + 1, table),
});

/**
 * The bucket of a distance. Near distances have one bucket each; from half the buckets on, bucket widths grow logarithmically. Computed in
 * float32, as in Transformers.
 */
export function logBucket(distance: number, buckets: number, maxDistance: number): number {
  const middle = Math.floor(buckets / 2);
  const away = Math.abs(distance);
  if (away <= middle) return distance;
  const f = Math.fround;
  const share = f(f(Math.log(f(away / middle))) / f(Math.log(f((maxDistance - 1) / middle))));
  return Math.sign(distance) * (Math.ceil(f(share * (middle - 1))) + middle);
}

/** T5's table of one number per bucket and head. Half of the buckets are for keys behind the query. */
export interface BiasBuckets {
  readonly buckets: number;
  /** From this distance on, all keys share the last bucket. */
  readonly maxDistance: number;
}

/** The bucket of a distance (query minus key), computed in float32, as in Transformers. */
export function biasBucket(distance: number, { buckets, maxDistance }: BiasBuckets): number {
  const half = Math.floor(buckets / 2);
  const exact = Math.floor(half / 2);
  const begin = distance < 0 ? half : 0;
  const away = Math.abs(distance);
  if (away < exact) return begin + away;
  const f = Math.fround;
  const share = f(f(Math.log(f(away / exact))) / f(Math.log(maxDistance / exact)));
  return begin + Math.min(exact + Math.floor(f(share * (half - exact))), half - 1);
}

/** The bucket of each distance −(longest − 1) … longest − 1, in ascending order. */
export const biasBuckets = (longest: number, table: BiasBuckets): number[] =>
  Array.from({ length: 2 * longest - 1 }, (_, i) => biasBucket(i - (longest - 1), table));

/** @param biases of the rows that {@link rowsByDistance} gives, [2 · tokens, heads] @returns [1, heads, tokens, tokens] */
export function biasScores(graph: Graph, biases: Node): Node {
  const [columns, heads] = dimensions(biases.shape, 2);
  const byHead = graph.reshape(graph.transpose(biases, [1, 0]), [1, heads, 1, columns]);
  return shear(graph, graph.broadcast(byHead, [1, heads, columns / 2, columns]));
}

export interface RelativeScoresParams {
  /** Both [batch, heads, tokens, headDim]. */
  readonly q: Node;
  readonly k: Node;
  /** Projected positions, [positions, heads · headDim]; if one is undefined, its term is omitted. */
  readonly positionKeys: Node | undefined;
  readonly positionQueries: Node | undefined;
  /** The row among the positions for each distance: equally many on both sides of 0, and at least one per token. */
  readonly rows: readonly number[];
  readonly scale: number;
}

/**
 * scale · (q[i]·positionKeys[row(i − j)] + k[j]·positionQueries[row(i − j)]), [batch, heads, tokens, tokens].
 * The terms depend only on the distance, so each product has one column per distance and is then sheared: no scores are gathered.
 */
export function relativeScores(graph: Graph, params: RelativeScoresParams): Node | undefined {
  const { q, k, positionKeys, positionQueries, rows, scale } = params;
  // Row i of the first term runs over keys, so distances fall. Row j of the second runs over queries, so they rise.
  const falling = positionKeys && term(graph, q, graph.mul(positionKeys, scale), rows.toReversed());
  const rising = positionQueries && graph.transpose(term(graph, k, graph.mul(positionQueries, scale), rows), [0, 1, 3, 2]);
  return falling && rising ? graph.add(falling, rising) : (falling ?? rising);
}

/** x[r]·positions[the row of distance c − r], [batch, heads, tokens, tokens]. @param rows of distances, equally many on both sides of 0 */
function term(graph: Graph, x: Node, positions: Node, rows: readonly number[]): Node {
  const [batch, heads, tokens, headDim] = dimensions(x.shape, 4);
  const spread = graph.gather(positions, rowsByDistance(graph, tokens, rows));
  const split = splitHeads(graph, spread, { batch: 1, heads });
  split.kept = true;
  const table = graph.broadcast(split, [batch, heads, 2 * tokens, headDim]);
  return shear(
    graph,
    graph.within({ cheap: true }, () => graph.matmul(x, table, { transposeB: true })),
  );
}

/**
 * The rows of a table for the distances of texts of this length, int32 [2 · tokens].
 * @param rows of distances, equally many on both sides of 0, and at least one per token
 */
export function rowsByDistance(graph: Graph, tokens: number, rows: readonly number[]): Node {
  // One column more than there are distances turns the shear into a plain reshape.
  const columns = Int32Array.from([...rows, lastOf(rows)]);
  const longest = columns.length / 2;
  return graph.sliceAxis(graph.constant(columns, [columns.length], 'int32'), 0, longest - tokens, 2 * tokens);
}

/** y[…, r, c] = x[…, r, c − r + n − 1], for x [batch, heads, n, 2n]: each row starts one column further left than the row above. */
function shear(graph: Graph, x: Node): Node {
  const [batch, heads, n] = dimensions(x.shape, 4);
  const flat = graph.reshape(x, [batch, heads, n * 2 * n]);
  const shifted = graph.reshape(graph.sliceAxis(flat, 2, n - 1, n * (2 * n - 1)), [batch, heads, n, 2 * n - 1]);
  return graph.sliceAxis(shifted, 3, 0, n);
}
