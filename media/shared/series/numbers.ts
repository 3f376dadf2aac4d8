/** A growing list of numbers in one block of memory: 100,000 points take 800 kB, and a view of them costs nothing. */

const START_LENGTH = 1024;

export class Numbers {
  private data = new Float64Array(START_LENGTH);
  private count = 0;

  get length(): number {
    return this.count;
  }

  push(value: number): void {
    if (this.count === this.data.length) {
      const grown = new Float64Array(2 * this.count);
      grown.set(this.data);
      this.data = grown;
    }
    this.data[this.count++] = value;
  }

  at(index: number): number {
    return index < this.count ? (this.data[index] ?? Number.NaN) : Number.NaN;
  }

  /** The values so far; the view is valid until the next push. */
  view(): Float64Array {
    return this.data.subarray(0, this.count);
  }
}

/** Index of the last value that is at most `x`, in ascending values; -1 if all are greater. */
export function lastAtMost(values: ArrayLike<number>, x: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? Number.NaN) <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Index of the value nearest to `x`, in ascending values; -1 if there are none. */
export function nearest(values: ArrayLike<number>, x: number): number {
  const below = lastAtMost(values, x);
  const above = below + 1;
  if (above >= values.length) return below;
  if (below < 0) return above;
  return x - (values[below] ?? Number.NaN) <= (values[above] ?? Number.NaN) - x ? below : above;
}
