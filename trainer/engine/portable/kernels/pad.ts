/**
 * Padding of any rank. tfjs's webgpu shader supports at most rank 4, so axes are joined first, which also simplifies the work on other
 * backends.
 */
import * as tf from '@tensorflow/tfjs-core';

export type Padding = readonly [before: number, after: number];

/** Pads each axis of `x` with `value`. An axis without padding joins the previous one: n more rows of width w are n·w more entries. */
export function padAxes(x: tf.Tensor, padding: readonly Padding[], value: number): tf.Tensor {
  const joined: { size: number; before: number; after: number }[] = [];
  padding.forEach(([before, after], axis) => {
    const size = x.shape[axis] as number;
    const outer = joined.at(-1);
    if (outer && before === 0 && after === 0) {
      outer.size *= size;
      outer.before *= size;
      outer.after *= size;
    } else joined.push({ size, before, after });
  });
  const flat = tf.reshape(
    x,
    joined.map(axis => axis.size),
  );
  const padded = tf.pad(
    flat,
    joined.map(({ before, after }): [number, number] => [before, after]),
    value,
  );
  return tf.reshape(
    padded,
    x.shape.map((size, axis) => size + (padding[axis]?.[0] ?? 0) + (padding[axis]?.[1] ?? 0)),
  );
}
