/** Convolution and pooling. Filters are [out, in / groups, kh, kw] in the graph and [kh, kw, in / groups, out] in TensorFlow. */
import type { OpName, Pool2d, Window2d } from '../../../graph/attributes.ts';
import { type DType, GraphError, type Shape } from '../../../graph/types.ts';
import type { Emitter } from '../emitter.ts';
import { inputAt, type LoweringContext, type LoweringTable } from '../lowering.ts';
import { type Attributes, attr } from '../node-def.ts';
import { scalarOf } from './scalar.ts';

const TO_TENSORFLOW = [2, 3, 1, 0];
const FROM_TENSORFLOW = [3, 2, 0, 1];

const transposed = (emitter: Emitter, x: string, perm: readonly number[], dtype: DType): string =>
  emitter.emit('Transpose', [x, emitter.ints(perm)], { T: attr.type(dtype), Tperm: attr.type('int32') });

/** What TensorFlow's SAME puts before and after an axis. */
function samePadding(size: number, kernel: number, stride: number, dilation: number): [before: number, after: number] {
  const reach = (Math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1;
  const total = Math.max(reach - size, 0);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
}

/**
 * oneDNN takes VALID and SAME only. With EXPLICIT padding TensorFlow falls back to a kernel that is slower and knows neither groups
 * nor dilation in its gradients. So padding that is not SAME's is done beforehand.
 */
type Padding = 'VALID' | 'SAME' | 'BEFOREHAND';

function paddingOf([, height = 0, width = 0]: Shape, [kh, kw]: readonly [number, number], window: Window2d): Padding {
  const { padding, strides, dilations } = window;
  if (padding.every(n => n === 0)) return 'VALID';
  const same = [...samePadding(height, kh, strides[0], dilations[0]), ...samePadding(width, kw, strides[1], dilations[1])];
  return same.every((n, i) => n === padding[i]) ? 'SAME' : 'BEFOREHAND';
}

const windowAttributes = ({ strides }: Window2d, padding: Padding, dtype: DType): Attributes => ({
  T: attr.type(dtype),
  strides: attr.ints([1, ...strides, 1]),
  padding: attr.string(padding === 'SAME' ? 'SAME' : 'VALID'),
  data_format: attr.string('NHWC'),
});

const convolution = (window: Window2d, padding: Padding, dtype: DType): Attributes => ({
  ...windowAttributes(window, padding, dtype),
  dilations: attr.ints([1, ...window.dilations, 1]),
  explicit_paddings: attr.ints([]),
  use_cudnn_on_gpu: attr.bool(true),
});

function pooling(window: Pool2d, padding: Padding, dtype: DType): Attributes {
  if (window.dilations.some(d => d !== 1)) throw new GraphError('dilated max pooling is not supported by this engine');
  return { ...windowAttributes(window, padding, dtype), ksize: attr.ints([1, ...window.size, 1]) };
}

function padImage(emitter: Emitter, x: string, { padding }: Window2d, value: number, dtype: DType): string {
  const [top, bottom, left, right] = padding;
  const paddings = emitter.constant(Int32Array.of(0, 0, top, bottom, left, right, 0, 0), [4, 2], 'int32');
  const around = emitter.constant(scalarOf(value, dtype), [], dtype);
  return emitter.emit('PadV2', [x, paddings, around], { T: attr.type(dtype), Tpaddings: attr.type('int32') });
}

/** The image without its padding. */
function cropImage(emitter: Emitter, x: string, shape: Shape, { padding }: Window2d, dtype: DType): string {
  const begin = emitter.ints([0, padding[0], padding[2], 0]);
  return emitter.emit('Slice', [x, begin, emitter.ints(shape)], { T: attr.type(dtype), Index: attr.type('int32') });
}

const paddedShape = ([batch = 0, height = 0, width = 0, channels = 0]: Shape, { padding }: Window2d): number[] => [
  batch,
  height + padding[0] + padding[1],
  width + padding[2] + padding[3],
  channels,
];

const kernelSize = ([, , kh = 0, kw = 0]: Shape): [number, number] => [kh, kw];

/** The image that the convolution or pooling reads, and its attributes. */
function windowed<Op extends OpName & ('conv2d' | 'conv2dFilterGrad' | 'maxPool2d' | 'maxPool2dGrad')>(
  { emitter, inputs: [x = ''], node, attrs }: Pick<LoweringContext<Op>, 'emitter' | 'inputs' | 'node'> & { readonly attrs: Window2d },
  kernel: [number, number],
  value: number,
): { image: string; padding: Padding } {
  const padding = paddingOf(inputAt({ node }, 0).shape, kernel, attrs);
  return { padding, image: padding === 'BEFOREHAND' ? padImage(emitter, x, attrs, value, node.dtype) : x };
}

export const convolutionLowerings = {
  conv2d: context => {
    const { emitter, inputs, node, attrs } = context;
    const { image, padding } = windowed(context, kernelSize(inputAt({ node }, 1).shape), 0);
    const filter = transposed(emitter, inputs[1] ?? '', TO_TENSORFLOW, node.dtype);
    return emitter.emit('Conv2D', [image, filter], convolution(attrs, padding, node.dtype));
  },
  conv2dInputGrad: ({ emitter, inputs: [dy = '', filter = ''], node, attrs }) => {
    const padding = paddingOf(attrs.inputShape, kernelSize(inputAt({ node }, 1).shape), attrs);
    const sizes = emitter.ints(padding === 'BEFOREHAND' ? paddedShape(attrs.inputShape, attrs) : attrs.inputShape);
    const inputs = [sizes, transposed(emitter, filter, TO_TENSORFLOW, node.dtype), dy];
    const gradient = emitter.emit('Conv2DBackpropInput', inputs, convolution(attrs, padding, node.dtype));
    return padding === 'BEFOREHAND' ? cropImage(emitter, gradient, attrs.inputShape, attrs, node.dtype) : gradient;
  },
  conv2dFilterGrad: context => {
    const { emitter, inputs, node, attrs } = context;
    const [out = 0, perGroup = 0, kh = 0, kw = 0] = attrs.filterShape;
    const { image, padding } = windowed(context, [kh, kw], 0);
    const sizes = emitter.ints([kh, kw, perGroup, out]);
    const gradient = emitter.emit('Conv2DBackpropFilter', [image, sizes, inputs[1] ?? ''], convolution(attrs, padding, node.dtype));
    return transposed(emitter, gradient, FROM_TENSORFLOW, node.dtype);
  },
  // Padding of a maximum never wins: TensorFlow's SAME leaves it out, ours is −∞.
  maxPool2d: context => {
    const { emitter, node, attrs } = context;
    const { image, padding } = windowed(context, [...attrs.size], Number.NEGATIVE_INFINITY);
    return emitter.emit('MaxPool', [image], pooling(attrs, padding, node.dtype));
  },
  maxPool2dGrad: context => {
    const { emitter, inputs, node, attrs } = context;
    const { image, padding } = windowed(context, [...attrs.size], Number.NEGATIVE_INFINITY);
    const gradient = emitter.emit('MaxPoolGrad', [image, inputs[1] ?? '', inputs[2] ?? ''], pooling(attrs, padding, node.dtype));
    return padding === 'BEFOREHAND' ? cropImage(emitter, gradient, node.shape, attrs, node.dtype) : gradient;
  },
} satisfies Partial<LoweringTable>;
