/** Rotary position embedding (Su et al. 2021), in Hugging Face's half-split layout. Scalings are in `rope-scaling.ts`. */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { lastOf } from '../../../narrow.ts';

export interface RotaryTables {
  /** Both [positions, features / 2], or [batch, 1, positions, features / 2] if each sequence has its own positions. */
  readonly cos: Node;
  readonly sin: Node;
}

/**
 * Tables for the positions 0 … count − 1.
 * @param factor multiplies both
 */
export function rotaryTables(graph: Graph, frequencies: Float64Array, count: number, factor = 1): RotaryTables {
  const half = frequencies.length;
  const table = (of: (angle: number) => number): Node =>
    graph.lazyConstant([count, half], () => {
      const values = new Float32Array(count * half);
      // Transformers computes the angle in float32; rounding the same way gives equal results at large positions.
      for (let p = 0; p < count; p++)
        for (let i = 0; i < half; i++) values[p * half + i] = factor * of(Math.fround(p * Math.fround(frequencies[i] as number)));
      return values;
    });
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/**
 * Tables for positions that are known only at run time.
 * @param frequencies [1, features / 2], or [batch, features / 2] if they differ by sequence
 * @param positions int32 [batch, tokens]
 * @param factor multiplies both
 */
export function rotaryTablesAt(graph: Graph, frequencies: Node, positions: Node, factor = 1): RotaryTables {
  const [batch = 1, tokens = 1] = positions.shape;
  const half = lastOf(frequencies.shape);
  const each = frequencies.shape[0] === 1 ? frequencies : graph.reshape(frequencies, [batch, 1, half]);
  const columns = graph.cast(graph.reshape(positions, each === frequencies ? [batch * tokens, 1] : [batch, tokens, 1]), 'float32');
  return tablesOf(graph, graph.reshape(graph.mul(columns, each), [batch, 1, tokens, half]), factor);
}

/**
 * Tables for positions in several dimensions, each of which rotates some of the pairs.
 * @param frequencies [1, features / 2]
 * @param positions int32 [dimensions, batch, tokens]
 * @param axes the dimension that rotates each pair
 * @param factor multiplies both tables
 */
export function rotaryTablesOnGrid(graph: Graph, frequencies: Node, positions: Node, axes: readonly number[], factor = 1): RotaryTables {
  const [count, batch, tokens] = dimensions(positions.shape, 3);
  const places = graph.reshape(graph.cast(positions, 'float32'), [count, batch * tokens, 1]);
  const own = graph.constant(
    Float32Array.from({ length: count * axes.length }, (_, at) => (axes[at % axes.length] === Math.floor(at / axes.length) ? 1 : 0)),
    [count, 1, axes.length],
    'float32',
  );
  // All but one of the terms of each sum are 0, so the angle is that of its dimension.
  const angles = graph.sum(graph.mul(places, graph.mul(own, graph.reshape(frequencies, [1, 1, axes.length]))), [0]);
  return tablesOf(graph, graph.reshape(angles, [batch, 1, tokens, axes.length]), factor);
}

const tablesOf = (graph: Graph, angles: Node, factor: number): RotaryTables => ({
  cos: graph.mul(graph.cos(angles), factor),
  sin: graph.mul(graph.sin(angles), factor),
});

/**
 * Reorders neighboring pairs among the first features of x [batch, heads, tokens, headDim] for `rotate`: first the first element of every
 * pair, then the second. Products of queries and keys do not change, since both are in the same order.
 * @param features number of features that rotate
 */
export function deinterleavePairs(graph: Graph, x: Node, features: number): Node {
  const [batch, heads, tokens, headDim] = dimensions(x.shape, 4);
  const rotating = features === headDim ? x : graph.sliceAxis(x, -1, 0, features);
  const pairs = graph.reshape(rotating, [batch * heads, tokens, features / 2, 2]);
  const apart = graph.reshape(graph.transpose(pairs, [0, 1, 3, 2]), [batch, heads, tokens, features]);
  return features === headDim ? apart : graph.concat([apart, graph.sliceAxis(x, -1, features, headDim - features)], -1);
}

/**
 * Rotates the first features of x [batch, heads, tokens, headDim], as many as the tables cover: (x₁, x₂) → (x₁·cos − x₂·sin, x₂·cos +
 * x₁·sin). A rotation is orthogonal, so its gradient is the reverse rotation, scaled by the same factor of the tables.
 * @param backwards whether to rotate the other way: (x₁·cos + x₂·sin, x₂·cos − x₁·sin)
 */
export function rotate(graph: Graph, x: Node, tables: RotaryTables, backwards = false): Node {
  const y = turned(graph, x, tables, backwards);
  y.custom = { inputs: [x], rule: ({ dy }) => [turned(graph, dy, tables, !backwards)] };
  return y;
}

function turned(graph: Graph, x: Node, { cos, sin }: RotaryTables, backwards: boolean): Node {
  const half = lastOf(cos.shape);
  const rest = lastOf(x.shape) - 2 * half;
  const first = graph.sliceAxis(x, -1, 0, half);
  const second = graph.sliceAxis(x, -1, half, half);
  const [a, b] = backwards ? ([graph.add, graph.sub] as const) : ([graph.sub, graph.add] as const);
  const rotated = [a(graph.mul(first, cos), graph.mul(second, sin)), b(graph.mul(second, cos), graph.mul(first, sin))];
  return graph.concat(rest > 0 ? [...rotated, graph.sliceAxis(x, -1, 2 * half, rest)] : rotated, -1);
}
