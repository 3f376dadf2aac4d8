/** Convolution and pooling. Filters are [out, in / groups, kh, kw] in the graph and [kh, kw, in / groups, out] in TensorFlow. */
import type { OpAttributes, Pool2d, Window2d } from '../../../graph/attributes.ts';
import type { Node } from '../../../graph/node-store.ts';
import { type DType, GraphError, type Shape } from '../../../graph/types.ts';
import type { Emitter } from '../emitter.ts';
import { inputAt, type LoweringContext, type LoweringTable } from '../lowering.ts';
import { type Attributes, attr } from '../node-def.ts';
import { scalarOf } from './scalar.ts';

const TO_TENSORFLOW = [2, 3, 1, 0];
const FROM_TENSORFLOW = [3, 2, 0, 1];

const transposed = (emitter: Emitter, x: string, perm: readonly number[], dtype: DType): string =>
  emitter.emit('Transpose', [x, emitter.ints(perm)], { T: attr.type(dtype), Tperm: attr.type('int32') });

/** Returns the padding before and after an axis with TensorFlow's SAME. */
function samePadding(size: number, kernel: number, stride: number, dilation: number): [before: number, after: number] {
  const reach = (Math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1;
  const total = Math.max(reach - size, 0);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
}

/**
 * oneDNN supports only VALID and SAME. With EXPLICIT padding, TensorFlow falls back to a slower kernel that supports neither groups nor
 * dilation in its gradients. So padding that differs from SAME is applied beforehand.
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

/** Removes the padding of an image. */
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

/**
 * Returns true if every input channel is a group of its own, with a window that TensorFlow's depthwise kernels support. Its plain
 * convolution computes such groups one after the other.
 */
function isDepthwise({ groups, strides, dilations }: Window2d & { readonly groups: number }, [, perGroup]: Shape): boolean {
  return groups > 1 && perGroup === 1 && strides[0] === strides[1] && dilations.every(d => d === 1);
}

/** Converts a filter [out, 1, kh, kw] to the layout of TensorFlow's depthwise kernels, [kh, kw, groups, out / groups]. */
const toDepthwise = (emitter: Emitter, filter: string, [out = 0, , kh = 0, kw = 0]: Shape, groups: number, dtype: DType): string =>
  reshaped(emitter, transposed(emitter, filter, TO_TENSORFLOW, dtype), [kh, kw, groups, out / groups], dtype);

const reshaped = (emitter: Emitter, x: string, shape: Shape, dtype: DType): string =>
  emitter.emit('Reshape', [x, emitter.ints(shape)], { T: attr.type(dtype), Tshape: attr.type('int32') });

const depthwise = (window: Window2d, padding: Padding, dtype: DType): Attributes => ({
  ...windowAttributes(window, padding, dtype),
  dilations: attr.ints([1, 1, 1, 1]),
  explicit_paddings: attr.ints([]),
});

const kernelSize = ([, , kh = 0, kw = 0]: Shape): [number, number] => [kh, kw];

interface Windowed {
  readonly emitter: Emitter;
  readonly shape: Shape;
  readonly kernel: readonly [number, number];
  readonly window: Window2d;
  readonly dtype: DType;
}

/** Returns the image that a convolution or pooling reads, padded beforehand if necessary. */
function windowed(x: string, value: number, { emitter, shape, kernel, window, dtype }: Windowed): { image: string; padding: Padding } {
  const padding = paddingOf(shape, kernel, window);
  return { padding, image: padding === 'BEFOREHAND' ? padImage(emitter, x, window, value, dtype) : x };
}

type ConvolutionName = 'conv2d' | 'conv2dInputGrad' | 'conv2dFilterGrad';

/** Computes in float32 if there is no kernel for the node's own type. */
const inWidth =
  <Op extends ConvolutionName>(lower: (context: LoweringContext<Op>, inputs: readonly [string, string], dtype: DType) => string) =>
  (context: LoweringContext<Op>): string => {
    const { emitter, node, inputs, hasNarrowKernels } = context;
    const [first = '', second = ''] = inputs;
    if (node.dtype !== 'bfloat16' || hasNarrowKernels) return lower(context, [first, second], node.dtype);
    const widen = (x: string): string => emitter.emit('Cast', [x], { SrcT: attr.type('bfloat16'), DstT: attr.type('float32') });
    const wide = lower(context, [widen(first), widen(second)], 'float32');
    return emitter.emit('Cast', [wide], { SrcT: attr.type('float32'), DstT: attr.type('bfloat16') });
  };

/** Number of channels in a block of oneDNN's kernels. */
const BLOCK = 16;

/**
 * Returns true if oneDNN would write beyond its buffers. Its filter gradient of a strided 1×1 filter does, with 8 channels of 56×56
 * (TensorFlow 2.21: the heap is corrupted); all channel counts that do not fill a block avoid it.
 */
const hasBadFilterGradient = ({ filterShape: [, channels = 0, kh, kw], strides }: OpAttributes['conv2dFilterGrad']): boolean =>
  kh === 1 && kw === 1 && channels % BLOCK !== 0 && strides.some(stride => stride > 1);

/** Returns the pixels of an image that a strided 1×1 window reads. @param of.shape the shape of the convolution's result */
function strided(image: string, { strides }: Window2d, { emitter, shape, dtype }: Pick<Windowed, 'emitter' | 'shape' | 'dtype'>): string {
  const [, height = 0, width = 0] = shape;
  const end = [0, (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1, 0];
  const isWhole = (1 << 0) | (1 << 3);
  return emitter.emit('StridedSlice', [image, emitter.ints([0, 0, 0, 0]), emitter.ints(end), emitter.ints([1, ...strides, 1])], {
    T: attr.type(dtype),
    Index: attr.type('int32'),
    begin_mask: attr.int(isWhole),
    end_mask: attr.int(isWhole),
    ellipsis_mask: attr.int(0),
    new_axis_mask: attr.int(0),
    shrink_axis_mask: attr.int(0),
  });
}

/** Returns the window of a pooling over the node's first input. */
const pooled = (node: Node, window: Pool2d, emitter: Emitter): Windowed => {
  const { shape, dtype } = inputAt({ node }, 0);
  return { emitter, window, shape, dtype, kernel: window.size };
};

export const convolutionLowerings = {
  conv2d: inWidth<'conv2d'>(({ emitter, node, attrs: window }, [x, filter], dtype) => {
    const { shape } = inputAt({ node }, 0);
    const { shape: filterShape } = inputAt({ node }, 1);
    const { image, padding } = windowed(x, 0, { emitter, shape, kernel: kernelSize(filterShape), window, dtype });
    if (isDepthwise(window, filterShape)) {
      const narrow = toDepthwise(emitter, filter, filterShape, window.groups, dtype);
      return emitter.emit('DepthwiseConv2dNative', [image, narrow], depthwise(window, padding, dtype));
    }
    return emitter.emit('Conv2D', [image, transposed(emitter, filter, TO_TENSORFLOW, dtype)], convolution(window, padding, dtype));
  }),
  conv2dInputGrad: inWidth<'conv2dInputGrad'>(({ emitter, node, attrs }, [dy, filter], dtype) => {
    const { shape: filterShape } = inputAt({ node }, 1);
    const padding = paddingOf(attrs.inputShape, kernelSize(filterShape), attrs);
    const sizes = emitter.ints(padding === 'BEFOREHAND' ? paddedShape(attrs.inputShape, attrs) : attrs.inputShape);
    const gradient = isDepthwise(attrs, filterShape)
      ? emitter.emit(
          'DepthwiseConv2dNativeBackpropInput',
          [sizes, toDepthwise(emitter, filter, filterShape, attrs.groups, dtype), dy],
          depthwise(attrs, padding, dtype),
        )
      : emitter.emit(
          'Conv2DBackpropInput',
          [sizes, transposed(emitter, filter, TO_TENSORFLOW, dtype), dy],
          convolution(attrs, padding, dtype),
        );
    return padding === 'BEFOREHAND' ? cropImage(emitter, gradient, attrs.inputShape, attrs, dtype) : gradient;
  }),
  conv2dFilterGrad: inWidth<'conv2dFilterGrad'>(({ emitter, node, attrs }, [x, dy], dtype) => {
    const [out = 0, perGroup = 0, kh = 0, kw = 0] = attrs.filterShape;
    const { shape } = inputAt({ node }, 0);
    const { image, padding } = windowed(x, 0, { emitter, shape, kernel: [kh, kw], window: attrs, dtype });
    if (isDepthwise(attrs, attrs.filterShape)) {
      const sizes = emitter.ints([kh, kw, attrs.groups, out / attrs.groups]);
      const found = emitter.emit('DepthwiseConv2dNativeBackpropFilter', [image, sizes, dy], depthwise(attrs, padding, dtype));
      return transposed(emitter, reshaped(emitter, found, [kh, kw, 1, out], dtype), FROM_TENSORFLOW, dtype);
    }
    const sizes = emitter.ints([kh, kw, perGroup, out]);
    const { seen, window } = hasBadFilterGradient(attrs)
      ? {
          seen: strided(image, attrs, { emitter, shape: inputAt({ node }, 1).shape, dtype }),
          window: { ...attrs, strides: [1, 1] as const },
        }
      : { seen: image, window: attrs };
    const gradient = emitter.emit('Conv2DBackpropFilter', [seen, sizes, dy], convolution(window, padding, dtype));
    return transposed(emitter, gradient, FROM_TENSORFLOW, dtype);
  }),
  // The padding of a maximum never wins: TensorFlow's SAME ignores it, ours is −∞.
  maxPool2d: ({ emitter, inputs: [x = ''], node, attrs }) => {
    const { image, padding } = windowed(x, Number.NEGATIVE_INFINITY, pooled(node, attrs, emitter));
    return emitter.emit('MaxPool', [image], pooling(attrs, padding, node.dtype));
  },
  maxPool2dGrad: ({ emitter, inputs: [x = '', y = '', dy = ''], node, attrs }) => {
    const { image, padding } = windowed(x, Number.NEGATIVE_INFINITY, pooled(node, attrs, emitter));
    const gradient = emitter.emit('MaxPoolGrad', [image, y, dy], pooling(attrs, padding, node.dtype));
    return padding === 'BEFOREHAND' ? cropImage(emitter, gradient, node.shape, attrs, node.dtype) : gradient;
  },
} satisfies Partial<LoweringTable>;
