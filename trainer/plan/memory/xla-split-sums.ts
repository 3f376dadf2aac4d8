/**
 * Models the products whose sums XLA divides over a GPU's multiprocessors: a product of few tiles with long sums is computed in parts, each in a
 * buffer of its own, which another kernel adds. The rule and its numbers are those of XLA's pass `SplitkRewriter`, with the weights and the
 * multiprocessors of an H100: of 140 kinds of products in seven steps compiled for one, it gives the parts of every one.
 */
import type { Node } from '../../graph/graph.ts';
import { inputsOf, isOp } from '../../graph/node-store.ts';
import { byteSize, bytesPerElement, elementCount } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';

/** Rows and columns of a tile. */
const TILE = 128;
const MULTIPROCESSORS = 132;
/** Costs of a floating-point operation of one multiprocessor, of a byte that a product moves and of one that the addition moves, and of its launch. */
const COSTS = { operation: 100, productByte: 0.194136, additionByte: 193.1384, launch: 4.36e7 } as const;
const MOST_PARTS = 2048;
/** Parts are added in float32. */
const PART_BYTES = 4;

/** Products of rows × inner and inner × columns, as many as `batch`. */
interface Product {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** Bytes of both factors. */
  readonly readBytes: number;
  /** Bytes of an element of the result. */
  readonly resultBytes: number;
}

/** Returns the bytes of the parts that a product of the graph is added from; 0 where XLA does not divide its sums. */
export function splitSumBytes(node: Node): number {
  if (!isOp(node, 'matmul')) return 0;
  const parts = partsOf(productOf(node));
  return parts === 1 ? 0 : parts * PART_BYTES * elementCount(node.shape);
}

function productOf(node: Node<'matmul'>): Product {
  const [a, b] = inputsOf(node, 2);
  const [rows, columns] = [elementAt(node.shape, node.shape.length - 2), elementAt(node.shape, node.shape.length - 1)];
  const inner = elementAt(a.shape, a.shape.length - (node.attrs.transposeA ? 2 : 1));
  const batch = elementCount(node.shape) / (rows * columns);
  return { batch, rows, columns, inner, readBytes: byteSize(a) + byteSize(b), resultBytes: bytesPerElement(node.dtype) };
}

/** Returns the cheapest number of parts: 1, 2, 4 … */
function partsOf(product: Product): number {
  let [best, least] = [1, costOf(product, 1)];
  for (let parts = 2; parts <= MOST_PARTS; parts *= 2) {
    const cost = costOf(product, parts);
    if (cost < least) [best, least] = [parts, cost];
  }
  return best;
}

function costOf({ batch, rows, columns, inner, readBytes, resultBytes }: Product, parts: number): number {
  const area = Math.min(rows, TILE) * Math.min(columns, TILE);
  const tiles = parts * batch * Math.ceil(rows / TILE) * Math.ceil(columns / TILE);
  const atOnce = (MULTIPROCESSORS * TILE ** 2) / area;
  const operations = 2 * area * Math.ceil(inner / parts) * Math.max(1, tiles / atOnce);
  const elements = batch * rows * columns;
  const written = parts * elements * (parts > 1 ? PART_BYTES : resultBytes);
  const cost = Math.max(COSTS.operation * operations, COSTS.productByte * (readBytes + written));
  return parts === 1 ? cost : cost + COSTS.launch + COSTS.additionByte * elements * (parts * PART_BYTES + resultBytes);
}
