/** Tests the scales and shifts that XLA repeats in buffers, as in encoders of images that it compiled for an H100. */
import { expect, test } from 'vitest';
import { cardCatalog } from '../../../../trainer/catalog/cards.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { readersIn } from '../../../../trainer/graph/readers.ts';
import { cardBuffers } from '../../../../trainer/plan/memory/xla-buffers.ts';

const [PATCHES, WIDTH, JOINED] = [128, 16, 4];
const BYTES = 4 * PATCHES * WIDTH;

const variable = (graph: Graph, name: string, shape: readonly number[]): Node => graph.read({ name, shape, dtype: 'float32' });

/** Returns the sizes of the copies for a product of a changed norm. @param joined the number of rows that each row of the product joins */
function copies(joined: number, change: (norm: Node, graph: Graph) => Node): readonly number[] {
  const graph = new Graph();
  const norm = graph.exp(graph.feed('patches', [PATCHES, WIDTH]));
  const rows = graph.reshape(change(norm, graph), [PATCHES / joined, joined * WIDTH]);
  const product = graph.matmul(rows, variable(graph, 'weight', [joined * WIDTH, WIDTH]));
  return (cardBuffers(cardCatalog.h100).copiesAtStart?.(product, readersIn([product])) ?? []).map(({ bytes }) => bytes);
}

const scaled = (norm: Node, graph: Graph): Node => graph.mul(norm, variable(graph, 'scale', [WIDTH]));
const shifted = (norm: Node, graph: Graph): Node => graph.add(scaled(norm, graph), variable(graph, 'shift', [WIDTH]));

test('a scale and a shift are repeated in buffers before rows are joined for a product', () => {
  expect(copies(JOINED, shifted)).toEqual([BYTES, BYTES]);
  expect(copies(JOINED, scaled)).toEqual([BYTES]);
});

test('nothing is repeated for a product of whole rows, or of values without a scale', () => {
  expect(copies(1, shifted)).toEqual([]);
  expect(copies(JOINED, (norm, graph) => graph.mul(norm, graph.sin(norm)))).toEqual([]);
});
