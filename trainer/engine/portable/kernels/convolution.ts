/**
 * Kernels of convolution and pooling. Only the plain forward convolution is a tfjs kernel; the gradients, groups, and stride combined with
 * dilation are sums over the taps of the window (taps.ts), because no backend supports them all: wasm lacks the filter gradient, tfjs has
 * no gradient with dilation, and none supports groups.
 */

import * as tf from '@tensorflow/tfjs-core';
import type { Window2d } from '../../../graph/attributes.ts';
import { windowOutput } from '../../../graph/ops/convolution.ts';
import { dimensions } from '../../../graph/types.ts';
import { lastOf, required } from '../../../narrow.ts';
import { type KernelTable, ofRank, one, three, two } from '../kernel.ts';
import { matmul } from './product.ts';
import { cropImage, type Image, imageOf, paddedSize, padImage, putTap, type Tap, takeTap, tapsOf } from './taps.ts';

type Convolutions = 'conv2d' | 'conv2dInputGrad' | 'conv2dFilterGrad' | 'maxPool2d' | 'maxPool2dGrad';

/** The lowest value: any element of an image exceeds or equals it. Finite, because not every GPU preserves infinities. */
const LOWEST = -3.4028234663852886e38;

export const convolutionKernels: Pick<KernelTable, Convolutions> = {
  conv2d: {
    device: ({ inputs, attrs }) => {
      const [x, filter] = two(inputs);
      const padded = padImage(x, attrs, 0);
      const strided = attrs.strides.some(n => n > 1);
      const dilated = attrs.dilations.some(n => n > 1);
      if (attrs.groups > 1 || (strided && dilated)) return convolveByTaps(padded, filter, imageOf(x), attrs);
      const hwio = ofRank(tf.transpose(filter, [2, 3, 1, 0]), 4);
      return tf.conv2d(ofRank(padded, 4), hwio, [...attrs.strides], 'valid', 'NHWC', [...attrs.dilations]);
    },
  },
  conv2dInputGrad: {
    device: ({ inputs, attrs }) => {
      const [dy, filter] = two(inputs);
      const input = dimensions(attrs.inputShape, 4);
      const [, , kh, kw] = imageOf(filter);
      const size = paddedSize(input, attrs);
      if (isPlainDepthwise(attrs, filter.shape))
        return cropImage(
          total(tapsOf([kh, kw], attrs), tap => putTap(tf.mul(dy, channelTap(filter, tap)), tap, attrs, size)),
          input,
          attrs,
        );
      const grouped = toGroups(dy, attrs.groups);
      const [batch, height, width] = imageOf(dy);
      const seen = (tap: Tap) => fromGroups(matmul(grouped, filterTap(filter, tap, attrs.groups), false, false), [batch, height, width]);
      return cropImage(
        total(tapsOf([kh, kw], attrs), tap => putTap(seen(tap), tap, attrs, size)),
        input,
        attrs,
      );
    },
  },
  conv2dFilterGrad: {
    device: ({ inputs, attrs }) => {
      const [x, dy] = two(inputs);
      const [out, perGroup, kh, kw] = dimensions(attrs.filterShape, 4);
      const padded = padImage(x, attrs, 0);
      const [, height, width] = imageOf(dy);
      if (isPlainDepthwise(attrs, attrs.filterShape)) {
        const seen = (tap: Tap) => takeTap(padded, tap, attrs, [height, width]);
        const sums = tapsOf([kh, kw], attrs).map(tap => tf.tidy(() => tf.reshape(tf.sum(tf.mul(dy, seen(tap)), [0, 1, 2]), [out, 1, 1])));
        return tf.reshape(tf.concat(sums, 2), [out, 1, kh, kw]);
      }
      const grouped = toGroups(dy, attrs.groups);
      const parts = tapsOf([kh, kw], attrs).map(tap =>
        tf.tidy(() => {
          const seen = toGroups(takeTap(padded, tap, attrs, [height, width]), attrs.groups);
          return tf.reshape(matmul(grouped, seen, true, false), [out, perGroup, 1]);
        }),
      );
      return tf.reshape(tf.concat(parts, 2), [out, perGroup, kh, kw]);
    },
  },
  maxPool2d: {
    device: ({ inputs, attrs }) => {
      const x = one(inputs);
      const padded = padImage(x, attrs, LOWEST);
      const [, height, width] = imageOf(x);
      const positions = windowOutput(height, width, attrs.size, attrs);
      return fold(tapsOf(attrs.size, attrs), tap => takeTap(padded, tap, attrs, positions), tf.maximum);
    },
  },
  // dy goes to the first position, in row order, that attains the maximum, as in TensorFlow and PyTorch.
  maxPool2dGrad: {
    device: ({ inputs, attrs }) => {
      const [x, y, dy] = three(inputs);
      const padded = padImage(x, attrs, LOWEST);
      const [, height, width] = imageOf(y);
      const size = paddedSize(imageOf(x), attrs);
      let open: tf.Tensor = tf.onesLike(y);
      const dx = total(tapsOf(attrs.size, attrs), tap => {
        const attained = tf.cast(tf.equal(takeTap(padded, tap, attrs, [height, width]), y), 'float32');
        const taken = tf.mul(attained, open);
        const still = tf.keep(tf.sub(open, taken));
        open.dispose();
        open = still;
        return putTap(tf.mul(taken, dy), tap, attrs, size);
      });
      open.dispose();
      return cropImage(dx, imageOf(x), attrs);
    },
  },
};

function convolveByTaps(padded: tf.Tensor, filter: tf.Tensor, input: Image, attrs: Window2d & { groups: number }): tf.Tensor {
  const [, , kh, kw] = imageOf(filter);
  const positions = windowOutput(input[1], input[2], [kh, kw], attrs);
  if (isPlainDepthwise(attrs, filter.shape))
    return total(tapsOf([kh, kw], attrs), tap => tf.mul(takeTap(padded, tap, attrs, positions), channelTap(filter, tap)));
  return total(tapsOf([kh, kw], attrs), tap => {
    const seen = toGroups(takeTap(padded, tap, attrs, positions), attrs.groups);
    return fromGroups(matmul(seen, filterTap(filter, tap, attrs.groups), false, true), [input[0], ...positions]);
  });
}

/** Returns true if every channel has a filter of its own: then a tap multiplies channel by channel, without matrix products. */
const isPlainDepthwise = ({ groups }: { readonly groups: number }, [out, perGroup]: readonly number[]): boolean =>
  groups > 1 && perGroup === 1 && out === groups;

/** Returns one tap of such a filter, [channels]. */
function channelTap(filter: tf.Tensor, { i, j }: Tap): tf.Tensor {
  const [out] = imageOf(filter);
  return tf.reshape(tf.slice(filter, [0, 0, i, j], [out, 1, 1, 1]), [out]);
}

const total = (taps: readonly Tap[], term: (tap: Tap) => tf.Tensor): tf.Tensor => fold(taps, term, tf.add);

/** Joins the terms of all taps, with no more than two alive at a time. */
function fold(taps: readonly Tap[], term: (tap: Tap) => tf.Tensor, join: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): tf.Tensor {
  let joined: tf.Tensor | undefined;
  for (const tap of taps) {
    const before = joined;
    joined = tf.tidy(() => (before ? join(before, term(tap)) : term(tap)));
    before?.dispose();
  }
  return required(joined, 'a convolution without taps: the first tap');
}

/** [batch, height, width, channels] → [groups, positions, channels / groups]. */
function toGroups(image: tf.Tensor, groups: number): tf.Tensor {
  const channels = lastOf(image.shape);
  return tf.transpose(tf.reshape(image, [image.size / channels, groups, channels / groups]), [1, 0, 2]);
}

function fromGroups(grouped: tf.Tensor, [batch, height, width]: readonly [number, number, number]): tf.Tensor {
  const [groups, , perGroup] = dimensions(grouped.shape, 3);
  return tf.reshape(tf.transpose(grouped, [1, 0, 2]), [batch, height, width, groups * perGroup]);
}

/** Returns one tap of a filter [out, in / groups, kh, kw], as [groups, out / groups, in / groups]. */
function filterTap(filter: tf.Tensor, { i, j }: Tap, groups: number): tf.Tensor {
  const [out, perGroup] = imageOf(filter);
  return tf.reshape(tf.slice(filter, [0, 0, i, j], [out, perGroup, 1, 1]), [groups, out / groups, perGroup]);
}
