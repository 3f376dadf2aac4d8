/** The start of towers over patches: products of their pixels, and learned positions that are sums of a table's rows. */

import type { Node } from '../../../graph/graph.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import { product } from '../../product.ts';
import type { Tracer } from '../../tracer.ts';
import type { TowerSizes } from './tower-sizes.ts';

/**
 * The products of patches with their weights, [count, hiddenSize], without a bias. Declares the feed `patches` [count, 3 · patch²].
 * @param patches [hiddenSize, 3, frames, patch, patch]
 */
export function patchProducts(tracer: Tracer, { hiddenSize, frames, patch }: TowerSizes, patches: ModuleSpec, count: number): Node {
  const { graph } = tracer;
  const values = graph.feed('patches', [count, 3 * patch * patch]);
  // All frames of a still image are equal, so the weights of a pixel are added.
  const weights = graph.reshape(tracer.parameter(patches.weight), [hiddenSize, 3, frames, patch * patch]);
  const still = graph.reshape(graph.sum(weights, [2]), [hiddenSize, 3 * patch * patch]);
  return product(graph, tracer.compute, values, still, { transposeB: true });
}

/**
 * Adds the positions of patches, each the sum of some rows of a table with shares; x [count, hiddenSize]. Declares the feeds `cells` int32
 * and `shares`, both [taps, count].
 */
export function withPositions(tracer: Tracer, x: Node, table: ModuleSpec, taps: number, count: number): Node {
  const { graph } = tracer;
  const [cells, shares] = [graph.feed('cells', [taps, count], 'int32'), graph.feed('shares', [taps, count])];
  const row = (from: Node, i: number): Node => graph.sliceAxis(from, 0, i, 1);
  return Array.from({ length: taps }, (_, i) => i).reduce((sum, i) => {
    const cell = tracer.embedding(table, graph.reshape(row(cells, i), [count]));
    return graph.add(sum, graph.mul(cell, graph.reshape(row(shares, i), [count, 1])));
  }, x);
}
