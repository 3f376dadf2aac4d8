/** Kernels of the operations that change a variable. Each returns a scalar token. */

import * as tf from '@tensorflow/tfjs-core';
import { atLeast } from '../../../narrow.ts';
import { type KernelTable, one, two } from '../kernel.ts';

type Effects = 'assign' | 'assignAdd' | 'updateRows' | 'updateElements' | 'updateColumns' | 'adam' | 'group';

const token = (): tf.Tensor => tf.scalar(true, 'bool');

export const effectKernels: Pick<KernelTable, Effects> = {
  assign: {
    device: ({ inputs, attrs, variables }) => {
      variables.set(attrs.variable, one(inputs));
      return token();
    },
  },
  assignAdd: {
    device: ({ inputs, attrs, variables }) => {
      variables.set(attrs.variable, tf.add(variables.get(attrs.variable), one(inputs)));
      return token();
    },
  },
  updateRows: {
    device: ({ inputs, attrs, variables }) => {
      const [rows, values] = two(inputs);
      const before = variables.get(attrs.variable);
      variables.set(attrs.variable, tf.tensorScatterUpdate(before, tf.reshape(rows, [rows.size, 1]), values));
      return token();
    },
  },
  updateElements: {
    device: ({ inputs, attrs, variables }) => {
      variables.set(attrs.variable, withElements(variables.get(attrs.variable), ...two(inputs)));
      return token();
    },
  },
  updateColumns: {
    device: ({ inputs, attrs, variables }) => {
      const [columns, values] = two(inputs);
      const [rows] = atLeast(values.shape, 2);
      const after = tf.tidy(() => {
        const starts = tf.range(0, rows * attrs.width, attrs.width, 'int32');
        const places = tf.add(tf.reshape(starts, [rows, 1]), tf.reshape(columns, [1, columns.size]));
        return withElements(variables.get(attrs.variable), places, values);
      });
      variables.set(attrs.variable, after);
      return token();
    },
  },
  // As in TensorFlow's ResourceApplyAdam: the bias correction is in the rate, and ε is added to the uncorrected √v.
  adam: {
    device: ({ inputs, attrs, variables }) => {
      const [gradient, rate, beta1Power, beta2Power, epsilon] = atLeast(inputs, 5);
      const step = tf.div(tf.mul(rate, tf.sqrt(tf.sub(1, beta2Power))), tf.sub(1, beta1Power));
      // Each moment is stored before the next is computed, so that few tensors of the variable's size exist at once.
      const m = blend(variables.get(attrs.m), gradient, attrs.beta1);
      variables.set(attrs.m, m);
      const v = tf.tidy(() => blend(variables.get(attrs.v), tf.square(gradient), attrs.beta2));
      variables.set(attrs.v, v);
      const change = tf.tidy(() => tf.div(tf.mul(m, step), tf.add(tf.sqrt(v), epsilon)));
      variables.set(attrs.variable, tf.sub(variables.get(attrs.variable), change));
      return token();
    },
  },
  group: { device: token },
};

/** Returns an exponential moving average, old + (new − old) · (1 − decay), in TensorFlow's form. */
const blend = (old: tf.Tensor, fresh: tf.Tensor, decay: number): tf.Tensor =>
  tf.tidy(() => tf.add(old, tf.mul(tf.sub(fresh, old), 1 - decay)));

/** Replaces the elements at these flat indices. @param places int32, as many as values */
const withElements = (before: tf.Tensor, places: tf.Tensor, values: tf.Tensor): tf.Tensor =>
  tf.tidy(() => {
    const flat = (x: tf.Tensor) => tf.reshape(x, [x.size]);
    return tf.reshape(tf.tensorScatterUpdate(flat(before), tf.reshape(places, [places.size, 1]), flat(values)), before.shape);
  });
