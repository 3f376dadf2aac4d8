/**
 * Models the buffers that XLA adds to the gradients of convolutions on a GPU. cuDNN has an operation for each gradient; XLA recognizes one
 * by the rules of its pass `ConvRewriter`, and computes any other convolution as a forward convolution of transposed copies.
 */
import { type CardEntry, multiprocessors } from '../../catalog/cards.ts';
import { aliasedRead, bufferOf } from '../../graph/alias.ts';
import type { Node } from '../../graph/graph.ts';
import type { CopiedFirst } from '../../graph/liveness.ts';
import { inputsOf, isOp } from '../../graph/node-store.ts';
import { byteSize, bytesPerElement, dimensions, elementCount } from '../../graph/types.ts';

/**
 * Returns the copy of an image batch that a convolution reads, alive from the start of the program to its last reader. Before compute
 * capability 9.0, channels come first in float32. The gradient of a filter is also computed from an image with channels first and samples
 * last if the output image is not larger than the filter, as with the patches of a small image.
 */
export function transposedBatch(node: Node, { capability }: Pick<CardEntry, 'capability'>): readonly CopiedFirst[] {
  const isRead = isOp(node, 'conv2d') || isOp(node, 'conv2dFilterGrad');
  const image = isRead && !multiprocessors[capability].floatChannelsLast ? floatImage(node) : imageToTranspose(node);
  return image && isGiven(image) ? [{ name: `transposed ${bufferOf(image).id}`, bytes: byteSize(image) }] : [];
}

/**
 * Returns the copy of a filter with channels last, alive from the start of the program to the convolution that reads it, if images have
 * channels last. A one-channel filter already has that layout, and so does a 1×1 filter in the forward pass; the gradient of an image swaps
 * the filter's input and output channels.
 */
export function transposedFilter(node: Node, card: Pick<CardEntry, 'capability'>): readonly CopiedFirst[] {
  if (!(isOp(node, 'conv2d') || isOp(node, 'conv2dInputGrad')) || !hasChannelsLast(node, card)) return [];
  const [, filter] = inputsOf(node, 2);
  const read = aliasedRead(filter);
  const [, channels, height, width] = dimensions(filter.shape, 4);
  const isMoved = channels > 1 && (height * width > 1 || isOp(node, 'conv2dInputGrad'));
  return read && isMoved ? [{ name: `${read.attrs.variable} ${node.op}`, bytes: byteSize(filter) }] : [];
}

const hasChannelsLast = ({ dtype }: Node, { capability }: Pick<CardEntry, 'capability'>): boolean =>
  dtype !== 'float32' || multiprocessors[capability].floatChannelsLast;

/** Returns the bytes of temporaries that XLA computes for only one convolution, or for only one pooling gradient. */
export function convolutionBytes(node: Node): number {
  if (isOp(node, 'conv2dInputGrad')) return spreadBytes(node);
  if (isOp(node, 'maxPool2dGrad')) return placesBytes(node);
  const image = imageToTranspose(node);
  return image && !isGiven(image) ? byteSize(image) : 0;
}

const floatImage = ({ inputs: [image] }: Node): Node | undefined => (image?.dtype === 'float32' ? image : undefined);

const isGiven = (image: Node): boolean => bufferOf(image).op === 'feed';

function imageToTranspose(node: Node): Node | undefined {
  if (!isOp(node, 'conv2dFilterGrad')) return undefined;
  const [image, dy] = inputsOf(node, 2);
  const [, height, width] = dimensions(dy.shape, 4);
  const [, , kernelHeight, kernelWidth] = dimensions(node.attrs.filterShape, 4);
  return height <= kernelHeight || width <= kernelWidth ? image : undefined;
}

/**
 * Returns the bytes of the dilated gradient: with strides, zeros are inserted between the elements of the output's gradient and around
 * them, unless the filter is 1×1.
 */
function spreadBytes(node: Node<'conv2dInputGrad'>): number {
  const [dy, filter] = inputsOf(node, 2);
  const [, , kernelHeight, kernelWidth] = dimensions(filter.shape, 4);
  if (kernelHeight * kernelWidth === 1 || node.attrs.strides.every(stride => stride === 1)) return 0;
  const [batch, , , channels] = dimensions(dy.shape, 4);
  const [, height, width] = dimensions(node.shape, 4);
  return bytesPerElement(dy.dtype) * batch * channels * (height + kernelHeight - 1) * (width + kernelWidth - 1);
}

/** Returns the bytes of the positions that gradients go to: a 32-bit index per axis. */
const placesBytes = ({ inputs: [, , dy] }: Node<'maxPool2dGrad'>): number => (dy ? 4 * dy.shape.length * elementCount(dy.shape) : 0);
