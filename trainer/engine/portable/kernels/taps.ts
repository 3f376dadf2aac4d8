/**
 * Decomposes a window into its taps: for each position (i, j) of a kh × kw window, the part of the padded image under that position, one
 * entry per output position. Any stride, dilation and padding becomes plain slices, which every backend supports, forward and backward.
 */

import * as tf from '@tensorflow/tfjs-core';
import type { Window2d } from '../../../graph/attributes.ts';
import { dimensions } from '../../../graph/types.ts';
import { padAxes } from './pad.ts';

export type Image = readonly [batch: number, height: number, width: number, channels: number];

export interface Tap {
  readonly i: number;
  readonly j: number;
  /** First row and column of the padded image. */
  readonly top: number;
  readonly left: number;
}

export const imageOf = (x: { readonly shape: readonly number[] }): Image => dimensions(x.shape, 4);

export function tapsOf(size: readonly [number, number], { dilations }: Window2d): Tap[] {
  const places: Tap[] = [];
  for (let i = 0; i < size[0]; i++) for (let j = 0; j < size[1]; j++) places.push({ i, j, top: i * dilations[0], left: j * dilations[1] });
  return places;
}

export function padImage(x: tf.Tensor, { padding: [top, bottom, left, right] }: Window2d, value: number): tf.Tensor {
  if (top + bottom + left + right === 0) return x;
  return padAxes(
    x,
    [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ],
    value,
  );
}

/** Returns [batch, outHeight, outWidth, channels]: the elements of a padded image under a tap. */
export function takeTap(
  padded: tf.Tensor,
  tap: Tap,
  { strides: [down, across] }: Window2d,
  [height, width]: readonly [number, number],
): tf.Tensor {
  const [batch, , , channels] = imageOf(padded);
  return tf.stridedSlice(
    padded,
    [0, tap.top, tap.left, 0],
    [batch, tap.top + (height - 1) * down + 1, tap.left + (width - 1) * across + 1, channels],
    [1, down, across, 1],
  );
}

/** The transpose of `takeTap`: puts [batch, outHeight, outWidth, channels] back under the tap, with zeros elsewhere. */
export function putTap(values: tf.Tensor, tap: Tap, { strides: [down, across] }: Window2d, padded: readonly [number, number]): tf.Tensor {
  const [batch, height, width, channels] = imageOf(values);
  const [tall, wide] = [(height - 1) * down + 1, (width - 1) * across + 1];
  const spread = tf.slice(
    tf.reshape(
      padAxes(
        tf.reshape(values, [batch, height, 1, width, channels]),
        [
          [0, 0],
          [0, 0],
          [0, down - 1],
          [0, 0],
          [0, (across - 1) * channels],
        ],
        0,
      ),
      [batch, height * down, width * across, channels],
    ),
    [0, 0, 0, 0],
    [batch, tall, wide, channels],
  );
  return padAxes(
    spread,
    [
      [0, 0],
      [tap.top, padded[0] - tap.top - tall],
      [tap.left, padded[1] - tap.left - wide],
      [0, 0],
    ],
    0,
  );
}

/** Returns height and width of the padded image. */
export const paddedSize = ([, height, width]: Image, { padding: [top, bottom, left, right] }: Window2d): [number, number] => [
  height + top + bottom,
  width + left + right,
];

/** Removes the padding. */
export function cropImage(padded: tf.Tensor, [batch, height, width, channels]: Image, { padding: [top, , left] }: Window2d): tf.Tensor {
  return tf.slice(padded, [0, top, left, 0], [batch, height, width, channels]);
}
