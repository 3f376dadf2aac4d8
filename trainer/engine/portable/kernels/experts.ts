/** Kernels of the products grouped by expert: one product for each expert that has assignments. */

import * as tf from '@tensorflow/tfjs-core';
import type { HostArray } from '../../../graph/types.ts';
import { dimensions } from '../../../graph/types.ts';
import { required } from '../../../narrow.ts';
import { type KernelTable, three, two } from '../kernel.ts';
import { matmul } from './product.ts';

/** Returns, for each number below `count`, the ascending indices of its occurrences. */
function rowsByExpert(numbers: HostArray, count: number): number[][] {
  const places: number[][] = Array.from({ length: count }, () => []);
  for (const [place, number] of numbers.entries()) places[number]?.push(place);
  return places;
}

const pick = (x: tf.Tensor, places: readonly number[], axis = 0): tf.Tensor => tf.gather(x, tf.tensor1d([...places], 'int32'), axis);

/** Concatenates the parts, and moves each row back to its original index. */
function putBack(parts: readonly tf.Tensor[], places: readonly number[]): tf.Tensor {
  const back = new Int32Array(places.length);
  for (const [i, place] of places.entries()) back[place] = i;
  return tf.gather(tf.concat([...parts]), tf.tensor1d(back, 'int32'));
}

export const expertKernels: Pick<KernelTable, 'expertProduct' | 'expertGradient'> = {
  expertProduct: {
    guides: [2],
    guided: ({ inputs, attrs: { experts, transposed } }, [ids]) => {
      const [x, w] = three(inputs);
      const [rows, width] = dimensions(w.shape, 2);
      const chosen = required(ids, 'the expert of each assignment');
      const repeats = chosen.length / (x.shape[0] as number);
      const places = rowsByExpert(chosen, experts);
      const parts = places.flatMap((own, e) => {
        if (own.length === 0) return [];
        const matrix = tf.slice(w, [(e * rows) / experts, 0], [rows / experts, width]);
        const read = own.map(place => Math.floor(place / repeats));
        return [tf.tidy(() => matmul(pick(x, read), matrix, false, !transposed))];
      });
      return putBack(parts, places.flat());
    },
  },
  expertGradient: {
    guides: [2, 3],
    guided: ({ inputs, attrs: { experts } }, [guide, rows]) => {
      const [a, b] = two(inputs);
      const out = a.shape[1] as number;
      const ids = required(guide, 'the expert of each assignment');
      const chosen =
        rows &&
        rowsByExpert(
          rows.map(row => Math.floor(row / out)),
          experts,
        );
      const parts = rowsByExpert(ids, experts).flatMap((own, e) => {
        const columns = chosen?.[e]?.map(place => (rows?.[place] as number) % out);
        const height = columns?.length ?? out;
        if (height === 0) return [];
        if (own.length === 0) return [tf.zeros([height, b.shape[1] as number])];
        return [
          tf.tidy(() => {
            const ownRows = (x: tf.Tensor): tf.Tensor => {
              const repeats = ids.length / (x.shape[0] as number);
              return pick(
                x,
                own.map(place => Math.floor(place / repeats)),
              );
            };
            const [left, right] = [ownRows(a), ownRows(b)];
            return matmul(columns ? pick(left, columns, 1) : left, right, true, false);
          }),
        ];
      });
      return chosen ? putBack(parts, chosen.flat()) : tf.concat(parts);
    },
  },
};
