/** Convolution and pooling. Filters are [out, kh, kw, in / groups] in the graph and [kh, kw, in / groups, out] in TensorFlow. */
import type { Pool2d, Window2d } from '../../../graph/attributes.ts';
import { type DType, GraphError, type Shape } from '../../../graph/types.ts';
import type { Emitter } from '../emitter.ts';
import { inputAt, type LoweringTable } from '../lowering.ts';
import { type Attributes, attr } from '../node-def.ts';
import { scalarOf } from './scalar.ts';

const TO_TENSORFLOW = [1, 2, 3, 0];
const FROM_TENSORFLOW = [3, 0, 1, 2];

const transposed = (emitter: Emitter, x: string, perm: readonly number[], dtype: DType): string =>
  emitter.emit('Transpose', [x, emitter.ints(perm)], { T: attr.type(dtype), Tperm: attr.type('int32') });

function convolution({ strides, padding: [top, bottom, left, right], dilations }: Window2d, dtype: DType): Attributes {
  const padded = top + bottom + left + right > 0;
  return {
    T: attr.type(dtype),
    strides: attr.ints([1, ...strides, 1]),
    dilations: attr.ints([1, ...dilations, 1]),
    padding: attr.string(padded ? 'EXPLICIT' : 'VALID'),
    explicit_paddings: attr.ints(padded ? [0, 0, top, bottom, left, right, 0, 0] : []),
    data_format: attr.string('NHWC'),
    use_cudnn_on_gpu: attr.bool(true),
  };
}

function pooling({ size, strides, dilations }: Pool2d, dtype: DType): Attributes {
  if (dilations.some(d => d !== 1)) throw new GraphError('dilated max pooling is not supported by this engine');
  return {
    T: attr.type(dtype),
    ksize: attr.ints([1, ...size, 1]),
    strides: attr.ints([1, ...strides, 1]),
    padding: attr.string('VALID'),
    data_format: attr.string('NHWC'),
  };
}

const hasPadding = ({ padding }: Window2d): boolean => padding.some(n => n > 0);

/** Padding of a maximum never wins, so it is −∞. */
function padForMax(emitter: Emitter, x: string, window: Window2d, dtype: DType): string {
  if (!hasPadding(window)) return x;
  const [top, bottom, left, right] = window.padding;
  const paddings = emitter.constant(Int32Array.of(0, 0, top, bottom, left, right, 0, 0), [4, 2], 'int32');
  const lowest = emitter.constant(scalarOf(Number.NEGATIVE_INFINITY, dtype), [], dtype);
  return emitter.emit('PadV2', [x, paddings, lowest], { T: attr.type(dtype), Tpaddings: attr.type('int32') });
}

const filterInTensorflow = ([out = 0, kh = 0, kw = 0, perGroup = 0]: Shape): number[] => [kh, kw, perGroup, out];

/** Zeros between the entries of a filter in TensorFlow's order, so that it does without dilation what it did with it. */
function dilate(
  emitter: Emitter,
  filter: string,
  [kh = 0, kw = 0, perGroup = 0, out = 0]: Shape,
  [dh, dw]: Window2d['dilations'],
  dtype: DType,
) {
  const move = moves(emitter, dtype);
  const apart = move.reshape(filter, [kh, 1, kw, 1, perGroup, out]);
  const stuffed = move.pad(apart, [0, dh - 1, 0, dw - 1, 0, 0]);
  const wide = move.reshape(stuffed, [kh * dh, kw * dw, perGroup, out]);
  return move.slice(wide, dilatedSize([kh, kw, perGroup, out], [dh, dw]));
}

/** The entries of a dilated filter's gradient that are not between others: `dilate` backwards. */
function contract(
  emitter: Emitter,
  gradient: string,
  [kh = 0, kw = 0, perGroup = 0, out = 0]: Shape,
  [dh, dw]: Window2d['dilations'],
  dtype: DType,
) {
  const move = moves(emitter, dtype);
  const full = move.pad(gradient, [dh - 1, dw - 1, 0, 0]);
  const apart = move.reshape(full, [kh, dh, kw, dw, perGroup, out]);
  return move.reshape(move.slice(apart, [kh, 1, kw, 1, perGroup, out]), [kh, kw, perGroup, out]);
}

const dilatedSize = ([kh = 0, kw = 0, ...rest]: Shape, [dh, dw]: Window2d['dilations']): number[] => [
  (kh - 1) * dh + 1,
  (kw - 1) * dw + 1,
  ...rest,
];

const isDilated = ({ dilations }: Window2d): boolean => dilations.some(d => d > 1);

const undilated = <W extends Window2d>(window: W): W => ({ ...window, dilations: [1, 1] });

function moves(emitter: Emitter, dtype: DType) {
  const T = attr.type(dtype);
  return {
    reshape: (x: string, shape: Shape) => emitter.emit('Reshape', [x, emitter.ints(shape)], { T, Tshape: attr.type('int32') }),
    slice: (x: string, size: Shape, begin: Shape = size.map(() => 0)) =>
      emitter.emit('Slice', [x, emitter.ints(begin), emitter.ints(size)], { T, Index: attr.type('int32') }),
    /** Pads each axis at its end. */
    pad: (x: string, after: Shape) => {
      const paddings = emitter.constant(Int32Array.from(after.flatMap(n => [0, n])), [after.length, 2], 'int32');
      return emitter.emit('PadV2', [x, paddings, emitter.constant(scalarOf(0, dtype), [], dtype)], { T, Tpaddings: attr.type('int32') });
    },
  };
}

export const convolutionLowerings = {
  conv2d: ({ emitter, inputs: [x = '', filter = ''], node, attrs }) =>
    emitter.emit('Conv2D', [x, transposed(emitter, filter, TO_TENSORFLOW, node.dtype)], convolution(attrs, node.dtype)),
  // TensorFlow's gradients on the CPU know no dilation, so there it is written out into the filter.
  conv2dInputGrad: ({ emitter, inputs: [dy = '', filter = ''], node, attrs }) => {
    const ours = transposed(emitter, filter, TO_TENSORFLOW, node.dtype);
    const shape = filterInTensorflow(inputAt({ node }, 1).shape);
    const wide = isDilated(attrs) ? dilate(emitter, ours, shape, attrs.dilations, node.dtype) : ours;
    return emitter.emit('Conv2DBackpropInput', [emitter.ints(attrs.inputShape), wide, dy], convolution(undilated(attrs), node.dtype));
  },
  conv2dFilterGrad: ({ emitter, inputs: [x = '', dy = ''], node, attrs }) => {
    const shape = filterInTensorflow(attrs.filterShape);
    const sizes = emitter.ints(dilatedSize(shape, attrs.dilations));
    const wide = emitter.emit('Conv2DBackpropFilter', [x, sizes, dy], convolution(undilated(attrs), node.dtype));
    const gradient = isDilated(attrs) ? contract(emitter, wide, shape, attrs.dilations, node.dtype) : wide;
    return transposed(emitter, gradient, FROM_TENSORFLOW, node.dtype);
  },
  maxPool2d: ({ emitter, inputs: [x = ''], node, attrs }) =>
    emitter.emit('MaxPool', [padForMax(emitter, x, attrs, node.dtype)], pooling(attrs, node.dtype)),
  maxPool2dGrad: ({ emitter, inputs: [x = '', y = '', dy = ''], node, attrs }) => {
    const padded = padForMax(emitter, x, attrs, node.dtype);
    const gradient = emitter.emit('MaxPoolGrad', [padded, y, dy], pooling(attrs, node.dtype));
    if (!hasPadding(attrs)) return gradient;
    return moves(emitter, node.dtype).slice(gradient, inputAt({ node }, 0).shape, [0, attrs.padding[0], attrs.padding[2], 0]);
  },
} satisfies Partial<LoweringTable>;
