/** Rounds float32 to the 8 significant bits of bfloat16: on the bits directly, or with elementary operations that every backend has. */
import * as tf from '@tensorflow/tfjs-core';
import { float32Of, fromBfloat16, toBfloat16 } from '../../../graph/types.ts';
import { ROUND_TO_BFLOAT16 } from '../wasm-kernels.ts';

/** Above this, the splitting product below would overflow, so larger values are first scaled down by a power of two. */
const LARGE = 2 ** 64;

/**
 * Rounds to nearest, ties to even; infinities, NaN and zeros are unchanged. If the bits are accessible, uses one pass over them, which
 * takes a fraction of the time.
 */
export function roundToBfloat16(x: tf.Tensor): tf.Tensor {
  const backend = tf.getBackend();
  if (backend === 'wasm') return tf.engine().runKernel(ROUND_TO_BFLOAT16, { x });
  if (backend === 'cpu') return tf.tensor(fromBfloat16(toBfloat16(float32Of(x.dataSync()))), x.shape, 'float32');
  return roundByOperations(x);
}

/**
 * Rounds by Veltkamp's splitting, which finds a nearest neighbor h; if x is a tie, h may be the odd one of the two, and then 2x − h is the
 * even one.
 */
export function roundByOperations(x: tf.Tensor): tf.Tensor {
  const large = tf.tidy(() => tf.greaterEqual(tf.abs(x), LARGE));
  const scaled = tf.tidy(() => tf.where(large, tf.mul(x, 1 / LARGE), x));
  const nearest = keepBits(scaled, 8);
  const other = tf.tidy(() => tf.sub(tf.mul(scaled, 2), nearest));
  const tie = tf.tidy(() => tf.equal(keepBits(other, 8), other));
  const odd = tf.tidy(() => tf.notEqual(keepBits(nearest, 7), nearest));
  const rounded = tf.tidy(() => tf.where(tf.logicalAnd(tie, odd), other, nearest));
  const back = tf.tidy(() => tf.where(large, tf.mul(rounded, LARGE), rounded));
  return tf.tidy(() => tf.where(tf.isFinite(x), back, x));
}

/** Rounds to `bits` of the 24 significant bits (Veltkamp 1968). */
const keepBits = (x: tf.Tensor, bits: number): tf.Tensor =>
  tf.tidy(() => {
    const spread = tf.mul(x, 2 ** (24 - bits) + 1);
    return tf.sub(spread, tf.sub(spread, x));
  });
