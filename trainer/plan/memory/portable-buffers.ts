/**
 * The memory of the portable engine under WebAssembly: elements take 32 bits (bools 8), every operation and every update allocates a new
 * tensor, and kernels need temporaries between their steps. A test compares it with the bytes that the backend really holds.
 */

import type { OpName, Window2d } from '../../graph/attributes.ts';
import { roundsResult } from '../../graph/exact.ts';
import type { Node, VariableSpec } from '../../graph/graph.ts';
import type { BufferRules } from '../../graph/liveness.ts';
import { inputsOf, isOp } from '../../graph/node-store.ts';
import { type DType, dimensions, elementCount, type Shape, type TensorSpec } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';

const NUMBER_BYTES = 4;

const ofShape = (shape: Shape): number => NUMBER_BYTES * elementCount(shape);

export const portableBytes = ({ shape, dtype }: TensorSpec): number => (dtype === 'bool' ? elementCount(shape) : ofShape(shape));

type Scratch<Op extends OpName> = (node: Node<Op>) => number;

/** Temporaries of `share` times the output's size. */
const times =
  (share: number): Scratch<OpName> =>
  node =>
    share * portableBytes(node);

/** Tensors of the output's size that exist while it is rounded to bfloat16: the unrounded value. */
const ROUNDING = 1;

/** Temporaries by operation. Kernels of tfjs itself need no memory other than inputs and output. Effects: see `portableBuffers`. */
const scratchOf: { readonly [Op in OpName]?: Scratch<Op> } = {
  sign: times(2.5),
  erf: times(6),
  sigmoidGrad: times(2),
  // tfjs copies all three inputs, as if to broadcast them.
  select: node => 2 * portableBytes(node) + portableBytes(inputsOf(node, 1)[0]),
  oneHot: times(1),
  cast: node => (node.dtype === 'bfloat16' ? ROUNDING * portableBytes(node) : 0),
  sum: node => reductionScratch(node),
  max: node => reductionScratch(node),
  argmax: node => {
    const [x] = inputsOf(node, 1);
    return node.attrs.axis === x.shape.length - 1 ? 0 : portableBytes(x);
  },
  segmentSum: node => portableBytes(node) + ofShape(node.shape.slice(1)) + 4 * portableBytes(inputsOf(node, 2)[1]),
  matmul: node => productScratch(node, ...inputsOf(node, 2)),
  // Assumes that all assignments go to one expert: its rows, and its matrix sliced, transposed and packed; then all products concatenated.
  expertProduct: node => {
    const [x, w] = inputsOf(node, 2);
    const [out, rows] = [portableBytes(node), ofShape([node.shape[0] as number, x.shape[1] as number])];
    return Math.max(3 * out, out + rows + (3 * portableBytes(w)) / node.attrs.experts);
  },
  expertGradient: node => {
    const [a, b, ids] = inputsOf(node, 3);
    const assignments = ids.shape[0] as number;
    const read = ofShape([assignments, a.shape[1] as number]) + 2 * ofShape([assignments, b.shape[1] as number]);
    return Math.max(2 * portableBytes(node), portableBytes(node) + 2 * read);
  },
  conv2d: node => {
    const { attrs, shape } = node;
    const [x, filter] = inputsOf(node, 2);
    const padded = padding(imageOf(x), attrs);
    const byTaps = attrs.groups > 1 || (attrs.strides.some(n => n > 1) && attrs.dilations.some(n => n > 1));
    // The filter, transposed and packed.
    if (!byTaps) return padded + 2 * portableBytes(filter);
    const [batch, height, width] = imageOf(node);
    return padded + 2 * ofShape([batch, height, width, imageOf(x)[3]]) + 4 * ofShape(shape);
  },
  conv2dInputGrad: node => {
    const { attrs, shape } = node;
    const [dy, filter] = inputsOf(node, 2);
    const [batch, height, width] = imageOf(dy);
    const seen = [batch, height, width, shape[3] as number] as const;
    const [, , ...taps] = imageOf(filter);
    return portableBytes(dy) + 3 * ofShape(seen) + putScratch(seen, imageOf(node), attrs, elementCount(taps)) - ofShape(shape);
  },
  conv2dFilterGrad: node => {
    const { attrs, shape } = node;
    const [x, dy] = inputsOf(node, 2);
    const [batch, height, width] = imageOf(dy);
    const seen = ofShape([batch, height, width, imageOf(x)[3]]);
    return padding(imageOf(x), attrs) + 2 * portableBytes(dy) + 3 * seen + ofShape(shape);
  },
  maxPool2d: node => padding(imageOf(inputsOf(node, 1)[0]), node.attrs) + 2 * ofShape(node.shape),
  maxPool2dGrad: node => {
    const { attrs, shape } = node;
    const [x, y] = inputsOf(node, 2);
    return (
      padding(imageOf(x), attrs) +
      6.25 * portableBytes(y) +
      putScratch(imageOf(y), imageOf(node), attrs, elementCount(attrs.size)) -
      ofShape(shape)
    );
  },
};

/** Returns the temporaries of a reduction. Only trailing axes are reduced directly; otherwise the input is transposed first. */
function reductionScratch(node: Node<'sum' | 'max'>): number {
  const { axes } = node.attrs;
  const [x] = inputsOf(node, 1);
  const rank = x.shape.length;
  return axes.every(axis => axis >= rank - axes.length) ? 0 : portableBytes(x);
}

type Image = readonly [batch: number, height: number, width: number, channels: number];

const imageOf = ({ shape }: Node): Image => dimensions(shape, 4);

const paddedBytes = ([batch, height, width, channels]: Image, { padding: [top, bottom, left, right] }: Window2d): number =>
  ofShape([batch, height + top + bottom, width + left + right, channels]);

/** Returns the bytes of the padded image, if it has padding. */
function padding(image: Image, window: Window2d): number {
  return window.padding.some(n => n > 0) ? paddedBytes(image, window) : 0;
}

/**
 * Returns the temporaries of scattering a tap's gradient back to its positions: dilated, cropped, padded, and added to the sum so far if
 * there is more than one tap.
 */
function putScratch(seen: Image, image: Image, window: Window2d, taps: number): number {
  const [down, across] = window.strides;
  return 2 * down * across * ofShape(seen) + (taps > 1 ? 3 : 1) * paddedBytes(image, window);
}

/**
 * Returns the temporaries of a product: transposes are materialized, the right side is packed, and batches are split and rejoined:
 * kernels/product.ts.
 */
function productScratch({ attrs, shape }: Node<'matmul'>, a: Node, b: Node): number {
  const transposed = (attrs.transposeA ? portableBytes(a) : 0) + (attrs.transposeB || b.shape.length === 2 ? portableBytes(b) : 0);
  const [m, n] = dimensions(shape.slice(-2), 2);
  const k = elementAt(a.shape, attrs.transposeA ? -2 : -1);
  if (a.shape.length === 2) return transposed + ofShape([k, n]);
  return transposed + ofShape(shape) + ofShape([m, k]) + 2 * ofShape([k, n]);
}

const scratchFor = <Op extends OpName>(op: Op): Scratch<Op> | undefined => scratchOf[op];

/** Returns the buffer rules. @param variables of the program */
export function portableBuffers(variables: readonly VariableSpec[]): BufferRules {
  const sizes = new Map(variables.map(variable => [variable.name, portableBytes(variable)]));
  return {
    bytes: portableBytes,
    isOutside: ({ op }) => op === 'read',
    isView,
    reuses: () => false,
    scratchBytes: node => {
      // The new value, in addition to the old one.
      if (isOp(node, 'assignAdd') || isOp(node, 'updateRows') || isOp(node, 'updateElements') || isOp(node, 'updateColumns'))
        return sizes.get(node.attrs.variable) ?? 0;
      // A moment, its new value and two intermediate values; then also the square of the gradient.
      if (isOp(node, 'adam')) return 4 * (sizes.get(node.attrs.variable) ?? 0);
      const own = scratchFor(node.op)?.(node) ?? 0;
      return own + (roundsResult(node) ? ROUNDING * portableBytes(node) : 0);
    },
  };
}

/** Returns true for a reshape, and for a cast between types that are stored the same way, which returns its input. */
function isView(node: Node): boolean {
  const { op, dtype } = node;
  if (op === 'reshape') return true;
  return op === 'cast' && dtype !== 'bfloat16' && storedAs(dtype) === storedAs(inputsOf(node, 1)[0].dtype);
}

const storedAs = (dtype: DType): DType => (dtype === 'bool' ? 'bool' : dtype === 'float32' || dtype === 'bfloat16' ? 'float32' : 'int32');
