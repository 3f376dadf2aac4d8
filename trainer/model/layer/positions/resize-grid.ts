/** Resamples tables of positions for images of another size, as PyTorch's `interpolate(mode='bicubic', align_corners=False)` does. */

import type { Graph, Node } from '../../../graph/graph.ts';
import { lastOf } from '../../../narrow.ts';

export type GridSize = readonly [rows: number, columns: number];

export interface ResizeParams {
  readonly from: GridSize;
  readonly to: GridSize;
  /** Widens the kernel when the grid shrinks, as `antialias=True` does; that kernel also has another shape. */
  readonly antialias: boolean;
}

/** @param table [from rows · from columns, features] → [to rows · to columns, features] */
export function resizeGrid(graph: Graph, table: Node, { from, to, antialias }: ResizeParams): Node {
  const features = lastOf(table.shape);
  const weights = (axis: 0 | 1) => graph.lazyConstant([to[axis], from[axis]], () => bicubicWeights(from[axis], to[axis], antialias));
  const down = graph.matmul(weights(0), graph.reshape(table, [from[0], from[1] * features]));
  const across = graph.transpose(graph.reshape(down, [to[0], from[1], features]), [1, 0, 2]);
  const wide = graph.matmul(weights(1), graph.reshape(across, [from[1], to[0] * features]));
  return graph.reshape(graph.transpose(graph.reshape(wide, [to[1], to[0], features]), [1, 0, 2]), [to[0] * to[1], features]);
}

/** The kernel of Keys (1981), 0 beyond a distance of 2. */
function keys(distance: number, a: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/**
 * The share of each of `from` places in each of `to` places, [to, from]. As in PyTorch, the kernel has a = −0.75, or −0.5 with antialias.
 */
function bicubicWeights(from: number, to: number, antialias: boolean): Float32Array {
  const scale = from / to;
  const weights = new Float32Array(to * from);
  for (let place = 0; place < to; place++) {
    const center = scale * (place + 0.5);
    const row = weights.subarray(place * from, (place + 1) * from);
    if (antialias) spreadWide(row, center, Math.max(scale, 1));
    else spreadNear(row, center - 0.5);
  }
  return weights;
}

/** Weights the four nearest places. */
function spreadNear(row: Float32Array, center: number): void {
  for (const [place, share] of nearestFour(center, row.length)) row[place] = (row[place] as number) + share;
}

/** The four places of a side that are nearest to a center, with their shares; a place outside counts as the edge. */
export function nearestFour(center: number, length: number): (readonly [place: number, share: number])[] {
  const first = Math.floor(center) - 1;
  return [first, first + 1, first + 2, first + 3].map(i => [Math.min(Math.max(i, 0), length - 1), keys(center - i, -0.75)]);
}

/** Weights all places that a kernel of this width covers, normalized to a sum of 1; places outside the grid are ignored. */
function spreadWide(row: Float32Array, center: number, width: number): void {
  const first = Math.max(Math.floor(center - 2 * width + 0.5), 0);
  const end = Math.min(Math.floor(center + 2 * width + 0.5), row.length);
  let total = 0;
  for (let i = first; i < end; i++) total += keys((i + 0.5 - center) / width, -0.5);
  for (let i = first; i < end; i++) row[i] = keys((i + 0.5 - center) / width, -0.5) / total;
}
