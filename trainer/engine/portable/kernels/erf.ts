/** The error function with float32 accuracy. tfjs's own kernels use Abramowitz & Stegun 7.1.26 (1.5e-7 absolute), too coarse near 0. */
import * as tf from '@tensorflow/tfjs-core';

/** Rational approximation x · P(x²) / Q(x²) on [−4, 4] as in Eigen's `erf` for float (within a few units in the last place). */
const NUMERATOR = [
  -2.72614225801306e-10, 2.77068142495902e-8, -2.10102402082508e-6, -5.69250639462346e-5, -7.34990630326855e-4, -2.95459980854025e-3,
  -1.60960333262415e-2,
];
const DENOMINATOR = [-1.45660718464996e-5, -2.13374055278905e-4, -1.68282697438203e-3, -7.37332916720468e-3, -1.42647390514189e-2];

/** Bound beyond which erf is 1 in float32. */
const SATURATED = 4;

export function erf(x: tf.Tensor): tf.Tensor {
  const clipped = tf.clipByValue(x, -SATURATED, SATURATED);
  const square = tf.square(clipped);
  return tf.div(tf.mul(clipped, polynomial(square, NUMERATOR)), polynomial(square, DENOMINATOR));
}

/** Evaluates a polynomial by Horner's rule, highest power first. Frees the intermediate values of each step immediately. */
function polynomial(x: tf.Tensor, coefficients: readonly number[]): tf.Tensor {
  const [first = 0, second = 0, ...rest] = coefficients;
  let sum = tf.tidy(() => tf.add(tf.mul(x, first), second));
  for (const c of rest) {
    const before = sum;
    sum = tf.tidy(() => tf.add(tf.mul(before, x), c));
    before.dispose();
  }
  return sum;
}
