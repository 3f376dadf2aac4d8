/**
 * The memory of the portable engine under WebAssembly: numbers of 32 bits (bools of 8), a new tensor for every operation and every
 * update, and what the steps of a kernel need between them. A test compares it with the bytes that the backend really has.
 */
import type { OpName, Window2d } from '../../graph/attributes.ts';
import { roundsResult } from '../../graph/exact.ts';
import type { Node, VariableSpec } from '../../graph/graph.ts';
import type { BufferRules } from '../../graph/liveness.ts';
import { type DType, dimensions, elementCount, type Shape, type TensorSpec } from '../../graph/types.ts';

const NUMBER_BYTES = 4;

const ofShape = (shape: Shape): number => NUMBER_BYTES * elementCount(shape);

export const portableBytes = ({ shape, dtype }: TensorSpec): number => (dtype === 'bool' ? elementCount(shape) : ofShape(shape));

type Scratch<Op extends OpName> = (node: Node<Op>, inputs: readonly Node[]) => number;

/** Tensors of the output's size that exist in addition to it. */
const times =
  (share: number): Scratch<OpName> =>
  node =>
    share * portableBytes(node);

/** Tensors of the output's size while it is rounded to bfloat16: kernels/bfloat16.ts. */
const ROUNDING = 8.25;

/** Kernels that are tfjs's own need no memory other than inputs and output. Effects: see `portableBuffers`. */
const scratchOf: { readonly [Op in OpName]?: Scratch<Op> } = {
  sign: times(2.5),
  erf: times(6),
  sigmoidGrad: times(2),
  // tfjs copies all three inputs, as if to broadcast them.
  select: (node, [condition]) => 2 * portableBytes(node) + portableBytes(condition as Node),
  oneHot: times(1),
  cast: node => (node.dtype === 'bfloat16' ? ROUNDING * portableBytes(node) : 0),
  sum: (node, [x]) => reductionScratch(node, x as Node),
  max: (node, [x]) => reductionScratch(node, x as Node),
  argmax: ({ attrs: { axis } }, [x]) => (axis === (x as Node).shape.length - 1 ? 0 : portableBytes(x as Node)),
  segmentSum: (node, [, ids]) => portableBytes(node) + ofShape(node.shape.slice(1)) + 4 * portableBytes(ids as Node),
  matmul: (node, [a, b]) => productScratch(node, a as Node, b as Node),
  // As if all assignments were to one expert: its rows, its matrix cut out, turned and packed; then all products one below the other.
  expertProduct: (node, [x, w]) => {
    const [out, rows] = [portableBytes(node), ofShape([node.shape[0] as number, (x as Node).shape[1] as number])];
    return Math.max(3 * out, out + rows + (3 * portableBytes(w as Node)) / node.attrs.experts);
  },
  expertGradient: (node, [a, b, ids]) => {
    const assignments = (ids as Node).shape[0] as number;
    const read = ofShape([assignments, (a as Node).shape[1] as number]) + 2 * ofShape([assignments, (b as Node).shape[1] as number]);
    return Math.max(2 * portableBytes(node), portableBytes(node) + 2 * read);
  },
  conv2d: ({ attrs, shape }, [x, filter]) => {
    const padded = padding(imageOf(x), attrs);
    const byTaps = attrs.groups > 1 || (attrs.strides.some(n => n > 1) && attrs.dilations.some(n => n > 1));
    // Turned round, and packed.
    if (!byTaps) return padded + 2 * portableBytes(filter as Node);
    const [batch, height, width] = shape as unknown as Image;
    return padded + 2 * ofShape([batch, height, width, imageOf(x)[3]]) + 4 * ofShape(shape);
  },
  conv2dInputGrad: ({ attrs, shape }, [dy]) => {
    const [batch, height, width] = imageOf(dy);
    const seen = [batch, height, width, shape[3] as number] as const;
    return portableBytes(dy as Node) + 3 * ofShape(seen) + putScratch(seen, shape as unknown as Image, attrs) - ofShape(shape);
  },
  conv2dFilterGrad: ({ attrs, shape }, [x, dy]) => {
    const [batch, height, width] = imageOf(dy);
    const seen = ofShape([batch, height, width, imageOf(x)[3]]);
    return padding(imageOf(x), attrs) + 2 * portableBytes(dy as Node) + 3 * seen + ofShape(shape);
  },
  maxPool2d: ({ attrs, shape }, [x]) => padding(imageOf(x), attrs) + 2 * ofShape(shape),
  maxPool2dGrad: ({ attrs, shape }, [x, y]) =>
    padding(imageOf(x), attrs) +
    6.25 * portableBytes(y as Node) +
    putScratch(imageOf(y), shape as unknown as Image, attrs) -
    ofShape(shape),
};

/** Only the last axes are reduced as they stand: otherwise the input is turned round. */
function reductionScratch({ attrs: { axes } }: Node<'sum' | 'max'>, x: Node): number {
  const rank = x.shape.length;
  return axes.every(axis => axis >= rank - axes.length) ? 0 : portableBytes(x);
}

type Image = readonly [batch: number, height: number, width: number, channels: number];

const imageOf = (node: Node | undefined): Image => node?.shape as unknown as Image;

const paddedBytes = ([batch, height, width, channels]: Image, { padding: [top, bottom, left, right] }: Window2d): number =>
  ofShape([batch, height + top + bottom, width + left + right, channels]);

/** The image with its padding, where it has one. */
function padding(image: Image, window: Window2d): number {
  return window.padding.some(n => n > 0) ? paddedBytes(image, window) : 0;
}

/** Putting what a tap saw back into its place: spread out, cut, padded, and added to the sum so far. */
function putScratch(seen: Image, image: Image, window: Window2d): number {
  const [down, across] = window.strides;
  return 2 * down * across * ofShape(seen) + 3 * paddedBytes(image, window);
}

/** Transposes are made, the right side is packed, and batches are taken apart and put together: kernels/product.ts. */
function productScratch({ attrs, shape }: Node<'matmul'>, a: Node, b: Node): number {
  const turned = (attrs.transposeA ? portableBytes(a) : 0) + (attrs.transposeB || b.shape.length === 2 ? portableBytes(b) : 0);
  const [m, n] = dimensions(shape.slice(-2), 2);
  const k = a.shape.at(attrs.transposeA ? -2 : -1) as number;
  if (a.shape.length === 2) return turned + ofShape([k, n]);
  return turned + ofShape(shape) + ofShape([m, k]) + 2 * ofShape([k, n]);
}

/** @param variables of the program */
export function portableBuffers(variables: readonly VariableSpec[]): BufferRules {
  const sizes = new Map(variables.map(variable => [variable.name, portableBytes(variable)]));
  return {
    bytes: portableBytes,
    isOutside: ({ op }) => op === 'read',
    isView,
    reuses: () => false,
    scratchBytes: node => {
      switch (node.op) {
        // The new value, in addition to the old.
        case 'assignAdd':
        case 'updateRows':
        case 'updateElements':
          return sizes.get((node as Node<'updateRows'>).attrs.variable) ?? 0;
        // A moment, its new value and two steps on the way there; then the square of the gradient too.
        case 'adam':
          return 4 * (sizes.get((node as Node<'adam'>).attrs.variable) ?? 0);
        default: {
          const own = (scratchOf[node.op] as Scratch<OpName> | undefined)?.(node, node.inputs) ?? 0;
          return own + (roundsResult(node) ? ROUNDING * portableBytes(node) : 0);
        }
      }
    },
  };
}

/** A cast between types that are stored alike gives back what it was given. */
function isView({ op, inputs: [input], dtype }: Node): boolean {
  if (op === 'reshape') return true;
  return op === 'cast' && dtype !== 'bfloat16' && storedAs(dtype) === storedAs((input as Node).dtype);
}

const storedAs = (dtype: DType): DType => (dtype === 'bool' ? 'bool' : dtype === 'float32' || dtype === 'bfloat16' ? 'float32' : 'int32');
