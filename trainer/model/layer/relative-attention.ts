/** The two terms that relative positions add to attention's scores in DeBERTa (He et al. 2021, equation 4), and its buckets. */

import type { Graph, Node } from '../../graph/graph.ts';
import { dimensions } from '../../graph/types.ts';
import { lastOf } from '../../narrow.ts';
import { splitHeads } from './self-attention.ts';

export interface RelativeTable {
  /** Half the rows of the table. */
  readonly span: number;
  /** 0: none, each distance has a row of its own. */
  readonly buckets: number;
  readonly maxDistance: number;
}

/** The row of each distance −(tokens − 1) … tokens − 1 (query minus key); never falls. */
export function relativeIndices(tokens: number, { span, buckets, maxDistance }: RelativeTable): number[] {
  return Array.from({ length: 2 * tokens - 1 }, (_, i) => {
    const distance = i - (tokens - 1);
    const bucket = buckets > 0 ? logBucket(distance, buckets, maxDistance) : distance;
    return Math.min(Math.max(bucket + span, 0), 2 * span - 1);
  });
}

/** The rows of the table that a graph reads, and where it finds each distance among them. */
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

/** All rows of the table, for texts shorter than `longest` + 1: one more, so that the longest text reads a part of them as shorter ones do. */
export const allRows = (longest: number, table: RelativeTable): RelativeRows => ({
  first: 0,
  count: 2 * table.span,
  ofDistance: relativeIndices(longest + 1, table),
});

/** Near distances have a bucket each; from half the buckets on they widen with the logarithm. In float32, as Transformers has it. */
export function logBucket(distance: number, buckets: number, maxDistance: number): number {
  const middle = Math.floor(buckets / 2);
  const away = Math.abs(distance);
  if (away <= middle) return distance;
  const f = Math.fround;
  const share = f(f(Math.log(f(away / middle))) / f(Math.log(f((maxDistance - 1) / middle))));
  return Math.sign(distance) * (Math.ceil(f(share * (middle - 1))) + middle);
}

export interface RelativeScoresParams {
  /** Both [batch, heads, tokens, headDim]. */
  readonly q: Node;
  readonly k: Node;
  /** Projected positions, [positions, heads · headDim]; left out, their term is too. */
  readonly positionKeys: Node | undefined;
  readonly positionQueries: Node | undefined;
  /** The row among the positions of each distance, as many on both sides of 0 and at least one for each token. */
  readonly rows: readonly number[];
  readonly scale: number;
}

/**
 * scale · (q[i]·positionKeys[row(i − j)] + k[j]·positionQueries[row(i − j)]), [batch, heads, tokens, tokens].
 * Each product is taken with one column for each distance and then sheared, since the distance alone decides: no gather of scores.
 */
export function relativeScores(graph: Graph, params: RelativeScoresParams): Node | undefined {
  const { q, k, positionKeys, positionQueries, rows, scale } = params;
  // Row i of the first term runs over keys: distances fall. Row j of the second runs over queries: they rise.
  const falling = positionKeys && term(graph, q, graph.mul(positionKeys, scale), rows.toReversed());
  const rising = positionQueries && graph.transpose(term(graph, k, graph.mul(positionQueries, scale), rows), [0, 1, 3, 2]);
  return falling && rising ? graph.add(falling, rising) : (falling ?? rising);
}

/** x[r]·positions[the row of distance c − r], [batch, heads, tokens, tokens]. @param rows of distances, as many on both sides of 0 */
function term(graph: Graph, x: Node, positions: Node, rows: readonly number[]): Node {
  const [batch, heads, tokens, headDim] = dimensions(x.shape, 4);
  // One column more than there are distances makes the shear a plain change of shape.
  const columns = Int32Array.from([...rows, lastOf(rows)]);
  const longest = columns.length / 2;
  const used = graph.sliceAxis(graph.constant(columns, [columns.length], 'int32'), 0, longest - tokens, 2 * tokens);
  const spread = graph.gather(positions, used);
  const split = splitHeads(graph, spread, { batch: 1, heads });
  split.kept = true;
  const table = graph.broadcast(split, [batch, heads, 2 * tokens, headDim]);
  return shear(
    graph,
    graph.within({ cheap: true }, () => graph.matmul(x, table, { transposeB: true })),
  );
}

/** y[…, r, c] = x[…, r, c − r + n − 1], for x [batch, heads, n, 2n]: each row begins one further left than the one above. */
function shear(graph: Graph, x: Node): Node {
  const [batch, heads, n] = dimensions(x.shape, 4);
  const flat = graph.reshape(x, [batch, heads, n * 2 * n]);
  const shifted = graph.reshape(graph.sliceAxis(flat, 2, n - 1, n * (2 * n - 1)), [batch, heads, n, 2 * n - 1]);
  return graph.sliceAxis(shifted, 3, 0, n);
}
