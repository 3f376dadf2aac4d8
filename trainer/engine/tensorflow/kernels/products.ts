/** Matrix products, convolutions and pooling. Filters are [out, kh, kw, in / groups] in the graph and [kh, kw, in / groups, out] in TensorFlow. */
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

export const productLowerings = {
  matmul: ({ emitter, inputs, node, attrs: { transposeA, transposeB } }) =>
    node.shape.length === 2
      ? emitter.emit('MatMul', inputs, { T: attr.type(node.dtype), transpose_a: attr.bool(transposeA), transpose_b: attr.bool(transposeB) })
      : emitter.emit('BatchMatMulV2', inputs, { T: attr.type(node.dtype), adj_x: attr.bool(transposeA), adj_y: attr.bool(transposeB) }),
  conv2d: ({ emitter, inputs: [x = '', filter = ''], node, attrs }) =>
    emitter.emit('Conv2D', [x, transposed(emitter, filter, TO_TENSORFLOW, node.dtype)], convolution(attrs, node.dtype)),
  conv2dInputGrad: ({ emitter, inputs: [dy = '', filter = ''], node, attrs }) =>
    emitter.emit(
      'Conv2DBackpropInput',
      [emitter.ints(attrs.inputShape), transposed(emitter, filter, TO_TENSORFLOW, node.dtype), dy],
      convolution(attrs, node.dtype),
    ),
  conv2dFilterGrad: ({ emitter, inputs: [x = '', dy = ''], node, attrs }) => {
    const sizes = emitter.ints(filterInTensorflow(attrs.filterShape));
    const gradient = emitter.emit('Conv2DBackpropFilter', [x, sizes, dy], convolution(attrs, node.dtype));
    return transposed(emitter, gradient, FROM_TENSORFLOW, node.dtype);
  },
  maxPool2d: ({ emitter, inputs: [x = ''], node, attrs }) =>
    emitter.emit('MaxPool', [padForMax(emitter, x, attrs, node.dtype)], pooling(attrs, node.dtype)),
  maxPool2dGrad: ({ emitter, inputs: [x = '', y = '', dy = ''], node, attrs }) => {
    const padded = padForMax(emitter, x, attrs, node.dtype);
    const gradient = emitter.emit('MaxPoolGrad', [padded, y, dy], pooling(attrs, node.dtype));
    if (!hasPadding(attrs)) return gradient;
    const begin = emitter.ints([0, attrs.padding[0], attrs.padding[2], 0]);
    const size = emitter.ints(inputAt({ node }, 0).shape);
    return emitter.emit('Slice', [gradient, begin, size], { T: attr.type(node.dtype), Index: attr.type('int32') });
  },
} satisfies Partial<LoweringTable>;
