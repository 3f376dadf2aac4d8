/** Range-maximum queries in logarithmic time, which draw a strip of 50,000 neurons in every frame. */

export interface RangeMax {
  readonly length: number;
  /** The maximum of the values from `from` up to and excluding `to`; NaN for an empty range. */
  max(from: number, to: number): number;
}

/** Builds a tree of maxima over the values; each level has half as many entries as the one below. */
export function createRangeMax(values: ArrayLike<number>): RangeMax {
  const { length } = values;
  const tree = new Float32Array(2 * length);
  tree.set(values, length);
  for (let i = length - 1; i > 0; i--) tree[i] = Math.max(tree[2 * i] ?? Number.NaN, tree[2 * i + 1] ?? Number.NaN);
  return {
    length,
    max(from, to) {
      let best = Number.NEGATIVE_INFINITY;
      let [low, high] = [Math.max(0, from) + length, Math.min(length, to) + length];
      if (low >= high) return Number.NaN;
      for (; low < high; low >>= 1, high >>= 1) {
        if (low & 1) best = Math.max(best, tree[low++] ?? Number.NaN);
        if (high & 1) best = Math.max(best, tree[--high] ?? Number.NaN);
      }
      return best;
    },
  };
}
