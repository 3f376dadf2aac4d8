/**
 * Models the products whose sums XLA divides over a GPU's multiprocessors: a product of few tiles with long sums is computed in parts, each in a
 * buffer of its own, which another kernel adds. The rule is that of XLA's pass `SplitkRewriter`, which knows of a card its multiprocessors and
 * its compute capability: it gives the parts of all 140 kinds of products in seven steps compiled for an H100, and of ten products compiled for
 * each of nine cards, and for an H100 with other numbers of multiprocessors. Estimates count the parts, and the PJRT engine fills up a product by
 * them.
 */
import type { CardEntry, ComputeCapability } from '../catalog/cards.ts';
import { elementAt } from '../narrow.ts';
import { inputsOf, isOp, type Node } from './node-store.ts';
import { worksByElement } from './ops/elementwise.ts';
import { byteSize, bytesPerElement, elementCount } from './types.ts';

/** Rows and columns of a tile. */
const TILE = 128;
/** Costs of a floating-point operation of one multiprocessor, of a byte that a product moves, and of the launch of the addition. */
const COSTS = { operation: 100, productByte: 0.194136, launch: 4.36e7 } as const;
/** The cost of a byte that the addition moves: XLA's own number for 9.0, and the middle of those that give all parts for the others. */
const ADDITION_BYTE: Readonly<Record<ComputeCapability, number>> = {
  '8.0': 467,
  '8.6': 467,
  '8.9': 467,
  '9.0': 193.1384,
  '10.0': 201,
  '12.0': 193.1384,
};
const MOST_PARTS = 2048;
/** Threads that run together. */
const WARP = 32;
/** Parts are added in float32. */
const PART_BYTES = 4;
/** Each part of a factor begins at a multiple of these bytes. */
const PART_ALIGNMENT = 16;
/** Rows are filled up to a multiple of this, at most to two tiles. */
const FILL_STEP = 16;
const MOST_ROWS = 2 * TILE;

/** Products of rows × inner and inner × columns, as many as `batch`. */
interface Product {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** Bytes of an element of each factor. */
  readonly rowBytes: number;
  readonly columnBytes: number;
  /** Bytes of an element of the result. */
  readonly resultBytes: number;
}

/** The facts of a card that the rule asks for. */
export type SplittingCard = Pick<CardEntry, 'multiprocessors' | 'capability'>;

/**
 * Returns the bytes of the parts that a product of the graph is added from on a card, and of the copies that it reads where the parts are not as
 * long as each other; 0 where XLA does not divide its sums. A first factor that is filled up is computed so, and needs no buffer as it is: that has
 * what it is computed from, and then the parts.
 */
export function splitSumBytes(node: Node, card: SplittingCard): number {
  if (!isOp(node, 'matmul')) return 0;
  const product = productOf(node);
  const rows = filledRows(node, card);
  const { bytes, copied } = partBytes(node, { ...product, rows }, card);
  if (rows === product.rows) return bytes + Math.max(0, copied - computedBytes(node));
  return factorBytes(product, rows) + Math.max(0, bytes - factorBytes(product, product.rows));
}

/**
 * Returns the bytes of the parts of a product that those that read it may add; 0 where there are none. From as many parts as a warp has threads on,
 * a kernel of its own adds them (XLA's `IsReductionFromOrToContiguousDimensions`), and rows that were filled up are cut off first.
 */
export function addableBytes(node: Node, card: SplittingCard): number {
  if (!isOp(node, 'matmul')) return 0;
  const product = productOf(node);
  const parts = partsOf(product, card);
  return parts < WARP && filledRows(node, card) === product.rows ? partBytes(node, product, card).bytes : 0;
}

/**
 * Returns the rows that a product is computed with, of which those beyond its own are 0: as few more as it takes for XLA to divide its sums into
 * parts that need no copies of its factors, where such copies are larger. The head of Qwen3 has 2⁷ · 1187 words, so that more than 16 parts would
 * copy all of it for the gradient of a few logits.
 */
export function filledRows(node: Node<'matmul'>, card: SplittingCard): number {
  const product = productOf(node);
  const { rows } = product;
  const { bytes, copied } = partBytes(node, product, card);
  if (copied === 0 || node.shape.length !== 2) return rows;
  for (let filled = FILL_STEP * Math.ceil(rows / FILL_STEP); filled <= MOST_ROWS; filled += FILL_STEP) {
    const parts = partBytes(node, { ...product, rows: filled }, card);
    if (parts.copied === 0) return parts.bytes + factorBytes(product, filled) < bytes + copied ? filled : rows;
  }
  return rows;
}

/** Bytes of the factors that are computed by elements: XLA computes such a copy in place of the factor. */
const computedBytes = (node: Node<'matmul'>): number =>
  inputsOf(node, 2).reduce((sum, factor) => sum + (worksByElement(factor.op) ? byteSize(factor) : 0), 0);

/** Bytes of the first factor with so many rows. */
const factorBytes = ({ inner, rowBytes }: Product, rows: number): number => rows * inner * rowBytes;

/** The parts, and the copies of both factors, which XLA fills up until each part of them has as many bytes, a multiple of the alignment. */
function partBytes(node: Node<'matmul'>, product: Product, card: SplittingCard): { readonly bytes: number; readonly copied: number } {
  const { batch, rows, columns, inner } = product;
  const parts = partsOf(product, card);
  if (parts === 1) return { bytes: 0, copied: 0 };
  const least = Math.min(PART_ALIGNMENT, ...inputsOf(node, 2).map(storedBytes));
  const step = (parts * PART_ALIGNMENT) / least;
  const padded = step * Math.ceil(inner / step);
  return {
    bytes: parts * PART_BYTES * batch * rows * columns,
    copied: padded === inner ? 0 : (readBytes(product) * padded) / inner,
  };
}

/** Bytes of an element before its type was changed. */
function storedBytes(node: Node): number {
  const [input] = node.inputs;
  return input && node.op === 'cast' ? storedBytes(input) : bytesPerElement(node.dtype);
}

function productOf(node: Node<'matmul'>): Product {
  const [a, b] = inputsOf(node, 2);
  const [rows, columns] = [elementAt(node.shape, node.shape.length - 2), elementAt(node.shape, node.shape.length - 1)];
  const inner = elementAt(a.shape, a.shape.length - (node.attrs.transposeA ? 2 : 1));
  const batch = elementCount(node.shape) / (rows * columns);
  return {
    batch,
    rows,
    columns,
    inner,
    rowBytes: bytesPerElement(a.dtype),
    columnBytes: bytesPerElement(b.dtype),
    resultBytes: bytesPerElement(node.dtype),
  };
}

/** Bytes of both factors. */
const readBytes = ({ batch, rows, columns, inner, rowBytes, columnBytes }: Product): number =>
  batch * inner * (rows * rowBytes + columns * columnBytes);

/** Returns the cheapest number of parts: 1, 2, 4 … */
function partsOf(product: Product, card: SplittingCard): number {
  let [best, least] = [1, costOf(product, 1, card)];
  for (let parts = 2; parts <= MOST_PARTS; parts *= 2) {
    const cost = costOf(product, parts, card);
    if (cost < least) [best, least] = [parts, cost];
  }
  return best;
}

function costOf(product: Product, parts: number, card: SplittingCard): number {
  const { batch, rows, columns, inner, resultBytes } = product;
  const area = Math.min(rows, TILE) * Math.min(columns, TILE);
  const tiles = parts * batch * Math.ceil(rows / TILE) * Math.ceil(columns / TILE);
  const atOnce = (card.multiprocessors * TILE ** 2) / area;
  const operations = 2 * area * Math.ceil(inner / parts) * Math.max(1, tiles / atOnce);
  const elements = batch * rows * columns;
  const written = parts * elements * (parts > 1 ? PART_BYTES : resultBytes);
  const cost = Math.max(COSTS.operation * operations, COSTS.productByte * (readBytes(product) + written));
  return parts === 1 ? cost : cost + COSTS.launch + ADDITION_BYTE[card.capability] * elements * (parts * PART_BYTES + resultBytes);
}
