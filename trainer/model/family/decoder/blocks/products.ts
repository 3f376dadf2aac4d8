/** Layers of a decoder that some families store separately, and others as one layer with all rows. */

import type { Node } from '../../../../graph/graph.ts';
import { dimensions } from '../../../../graph/types.ts';
import { atLeast, elementAt } from '../../../../narrow.ts';
import type { ModuleSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';

/** The products of several layers, or the parts of the product of one layer with all rows; each is computed when first called. */
export function products(tracer: Tracer, modules: readonly ModuleSpec[], x: Node, sizes: readonly number[]): readonly (() => Node)[] {
  const [only] = modules;
  let whole: Node | undefined;
  const part = (module: ModuleSpec, begin: number, size: number): Node => {
    whole ??= tracer.linear(module, x);
    return tracer.graph.sliceAxis(whole, -1, begin, size);
  };
  return sizes.map((size, i) => () => {
    if (only && modules.length < sizes.length) return part(only, sumOf(sizes.slice(0, i)), size);
    return tracer.linear(elementAt(modules, i), x);
  });
}

/** Queries, keys and values of the product of one layer whose rows have them head by head, each [rows, heads · headDim]. */
export function productsByHead(tracer: Tracer, modules: readonly ModuleSpec[], x: Node, heads: number): readonly (() => Node)[] {
  const { graph } = tracer;
  const [rows, width] = dimensions(x.shape, 2);
  const [module] = atLeast(modules, 1);
  const product = tracer.linear(module, x);
  const [, columns] = dimensions(product.shape, 2);
  const headDim = columns / (3 * heads);
  const byHead = graph.reshape(product, [rows, heads, 3 * headDim]);
  return [0, 1, 2].map(i => () => graph.reshape(graph.sliceAxis(byHead, 2, i * headDim, headDim), [rows, width]));
}

const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

export const withSections = (module: ModuleSpec, rows: Readonly<Record<string, number>>): ModuleSpec => ({
  ...module,
  sections: Object.entries(rows).map(([name, count]) => ({ name, rows: count })),
});
