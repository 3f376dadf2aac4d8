/**
 * Models the products whose sums XLA splits over a GPU's multiprocessors: a product with few tiles and long sums is computed in parts, each
 * in a buffer of its own, which another kernel adds. The rule is that of XLA's pass `SplitkRewriter`, which depends on a card's number of
 * multiprocessors and its compute capability. It predicts the parts of all 140 kinds of products in seven steps compiled for an H100, of
 * ten products for an H100 with other numbers of multiprocessors, and of 45 to 318 random products in float32 for each of nine cards, except
 * one for an RTX 5090. Estimates count the parts, and the PJRT engine pads products accordingly.
 */
import type { CardEntry, ComputeCapability } from '../catalog/cards.ts';
import { elementAt } from '../narrow.ts';
import { inputsOf, isOp, type Node } from './node-store.ts';
import { worksByElement } from './ops/elementwise.ts';
import { byteSize, bytesPerElement, elementCount } from './types.ts';

/** Number of rows and columns of a tile. */
const TILE = 128;
/** Cost of a floating-point operation on one multiprocessor, and of a byte that a product moves. */
const COSTS = { operation: 100, productByte: 0.194136 } as const;
/**
 * Costs of the addition: of its launch, and of a byte that it moves. Those of Hopper are XLA's own; the others are from the range that
 * predicts the parts.
 */
const AMPERE = { launch: 4.36e7, byte: 467 } as const;
const HOPPER = { launch: 4.36e7, byte: 193.1384 } as const;
const AMD = { launch: 6e7, byte: 467 } as const;
const ADDITION: Readonly<Record<ComputeCapability, { readonly launch: number; readonly byte: number }>> = {
  '8.0': AMPERE,
  '8.6': AMPERE,
  '8.9': AMPERE,
  '9.0': HOPPER,
  '10.0': { launch: 1.19e8, byte: 193.1384 },
  '12.0': { launch: 1.18e8, byte: 184 },
  gfx942: AMD,
  gfx1100: AMD,
  gfx1151: AMD,
  gfx1201: AMD,
};
const MAX_PARTS = 2048;
/** Number of threads in a warp. */
const WARP = 32;
/** Bytes per element of a part: parts are added in float32. */
const PART_BYTES = 4;
/** Each part of a factor starts at a multiple of this many bytes. */
const PART_ALIGNMENT = 16;
/** Rows are padded to a multiple of this, at most to two tiles. */
const FILL_STEP = 16;
const MAX_ROWS = 2 * TILE;

/** A batch of `batch` products of rows × inner and inner × columns. */
interface Product {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  /** Bytes per element of each factor. */
  readonly rowBytes: number;
  readonly columnBytes: number;
  /** Bytes per element of the result. */
  readonly resultBytes: number;
}

/** The facts about a card that the rule needs. */
export type SplittingCard = Pick<CardEntry, 'multiprocessors' | 'capability'>;

/**
 * Returns the bytes of the parts that a product of the graph is added from on a card, and of the copies that it reads if the parts differ
 * in length; 0 if XLA does not split its sums. A first factor that is padded is computed in padded form and needs no unpadded buffer: that
 * memory first holds the values that it is computed from, and later the parts.
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
 * Returns the bytes of a product's parts that its readers may add themselves; 0 if there are none. If there are at least as many parts as
 * threads in a warp, a separate kernel adds them (XLA's `IsReductionFromOrToContiguousDimensions`), and padded rows are sliced off first.
 */
export function addableBytes(node: Node, card: SplittingCard): number {
  if (!isOp(node, 'matmul')) return 0;
  const product = productOf(node);
  const parts = partsOf(product, card);
  return parts < WARP && filledRows(node, card) === product.rows ? partBytes(node, product, card).bytes : 0;
}

/**
 * Returns the number of rows that a product is computed with; rows beyond its own are 0. It adds as few as XLA needs to split the sums into
 * parts that need no copies of the factors, if such copies are larger. The head of Qwen3 has 2⁷ · 1187 words, so more than 16 parts would
 * copy all of it for the gradient of a few logits.
 */
export function filledRows(node: Node<'matmul'>, card: SplittingCard): number {
  const product = productOf(node);
  const { rows } = product;
  const { bytes, copied } = partBytes(node, product, card);
  if (copied === 0 || node.shape.length !== 2) return rows;
  for (let filled = FILL_STEP * Math.ceil(rows / FILL_STEP); filled <= MAX_ROWS; filled += FILL_STEP) {
    const parts = partBytes(node, { ...product, rows: filled }, card);
    if (parts.copied === 0) return parts.bytes + factorBytes(product, filled) < bytes + copied ? filled : rows;
  }
  return rows;
}

/** Returns true if XLA copies the factors of a product to split its sums. */
export function copiesFactors(node: Node<'matmul'>, card: SplittingCard): boolean {
  const product = productOf(node);
  return filledRows(node, card) === product.rows && partBytes(node, product, card).copied > 0;
}

/** Returns the bytes of the factors that are computed elementwise: XLA computes the padded copy in place of the factor. */
const computedBytes = (node: Node<'matmul'>): number =>
  inputsOf(node, 2).reduce((sum, factor) => sum + (worksByElement(factor.op) ? byteSize(factor) : 0), 0);

/** Returns the bytes of the first factor with this many rows. */
const factorBytes = ({ inner, rowBytes }: Product, rows: number): number => rows * inner * rowBytes;

/**
 * Returns the bytes of the parts, and of the copies of both factors, which XLA pads until their parts have equal sizes, a multiple of the
 * alignment.
 */
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

/** Returns the bytes per element before casts. */
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

/** Returns the bytes of both factors. */
const readBytes = ({ batch, rows, columns, inner, rowBytes, columnBytes }: Product): number =>
  batch * inner * (rows * rowBytes + columns * columnBytes);

/** Returns the cheapest number of parts: 1, 2, 4, … */
function partsOf(product: Product, card: SplittingCard): number {
  let [best, least] = [1, costOf(product, 1, card)];
  for (let parts = 2; parts <= MAX_PARTS; parts *= 2) {
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
  const { launch, byte } = ADDITION[card.capability];
  return parts === 1 ? cost : cost + launch + byte * elements * (parts * PART_BYTES + resultBytes);
}
