/** Rounding of float32 to the 8 significant bits of bfloat16: of its bits, or out of elementary operations that every backend has. */
import * as tf from '@tensorflow/tfjs-core';
import { float32Of, fromBfloat16, toBfloat16 } from '../../../graph/types.ts';

/** Above this the splitting product below would overflow, so larger numbers are scaled down by a power of two first. */
const LARGE = 2 ** 64;

/** Backends that keep numbers in the memory of this process. Reading those of another would wait for all that it still has to do. */
const IN_MEMORY: ReadonlySet<string> = new Set(['cpu', 'wasm']);

/** Nearest, ties to even; infinities, NaN and zeros stay. */
export const roundToBfloat16 = (x: tf.Tensor): tf.Tensor => (IN_MEMORY.has(tf.getBackend()) ? roundBits(x) : roundByOperations(x));

/** One pass over the numbers, which takes a fraction of the time of twenty operations. */
const roundBits = (x: tf.Tensor): tf.Tensor => tf.tensor(fromBfloat16(toBfloat16(float32Of(x.dataSync()))), x.shape, 'float32');

/** Veltkamp's splitting finds a nearest neighbor h; where x lies half-way, h may be the odd one of the two, and then 2x − h is the even one. */
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

/** Veltkamp (1968): rounds to `bits` significant bits of the 24. */
const keepBits = (x: tf.Tensor, bits: number): tf.Tensor =>
  tf.tidy(() => {
    const spread = tf.mul(x, 2 ** (24 - bits) + 1);
    return tf.sub(spread, tf.sub(spread, x));
  });
