/** Matrix products, convolutions and pooling. */
import type { Window2d } from '../../../graph/attributes.ts';
import { elementAt } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import { type LoweringTable, one, refused, two } from '../lowering.ts';

type Products =
  | 'matmul'
  | 'expertProduct'
  | 'expertGradient'
  | 'attention'
  | 'attentionGradient'
  | 'conv2d'
  | 'conv2dInputGrad'
  | 'conv2dFilterGrad'
  | 'maxPool2d'
  | 'maxPool2dGrad';

export const productLowerings: Pick<LoweringTable, Products> = {
  matmul: ({ emitter, inputs, attrs: { transposeA, transposeB } }) => {
    const [a, b] = two(inputs);
    const rank = elementAt(inputs, 0).shape.length;
    // For matrices, Gemm transposes and multiplies in one operation.
    if (rank === 2 && (transposeA || transposeB))
      return emitter.emit('Gemm', [a, b], { transA: Number(transposeA), transB: Number(transposeB) });
    const swap = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
    const factor = (x: string, isTransposed: boolean): string => (isTransposed ? emitter.transpose(x, swap) : x);
    return emitter.emit('MatMul', [factor(a, transposeA), factor(b, transposeB)]);
  },
  expertProduct: refused('expertProduct', 'mixtures of experts'),
  expertGradient: refused('expertGradient', 'mixtures of experts'),
  attention: refused('attention', 'attention as one kernel'),
  attentionGradient: refused('attentionGradient', 'gradients'),
  conv2d: ({ emitter, inputs, attrs }) => {
    const [x, filter] = two(inputs);
    return channelsFirst(emitter, x, image => emitter.emit('Conv', [image, filter], { ...windowOf(attrs), group: attrs.groups }));
  },
  conv2dInputGrad: refused('conv2dInputGrad', 'gradients'),
  conv2dFilterGrad: refused('conv2dFilterGrad', 'gradients'),
  maxPool2d: ({ emitter, inputs, attrs }) =>
    channelsFirst(emitter, one(inputs), image => emitter.emit('MaxPool', [image], { ...windowOf(attrs), kernel_shape: attrs.size })),
  maxPool2dGrad: refused('maxPool2dGrad', 'gradients'),
};

function windowOf({ strides, padding: [top, bottom, left, right], dilations }: Window2d) {
  return { strides, dilations, pads: [top, left, bottom, right] };
}

/** Computes on [batch, channels, height, width], the layout of ONNX, and converts back to ours. */
function channelsFirst(emitter: Emitter, x: string, compute: (image: string) => string): string {
  return emitter.transpose(compute(emitter.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1]);
}
