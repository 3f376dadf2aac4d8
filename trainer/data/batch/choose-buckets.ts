/** Chooses a few static lengths for data of many lengths, to minimize padding. */

export interface BucketSettings {
  /** Maximum number of lengths: each requires a program to be compiled. */
  readonly maxBuckets: number;
  /** Lengths are multiples of this, which suits the kernels. */
  readonly multipleOf: number;
  /** The maximum length, which need not be a multiple of `multipleOf`. */
  readonly limit?: number;
}

/** The share of all positions that a further bucket must save to be worth compiling. */
const MIN_GAIN = 0.03;

/**
 * The maximum number of distinct lengths. Beyond it, lengths are first rounded more coarsely, because the search is quadratic in their
 * number.
 */
const MAX_CANDIDATES = 1024;

/**
 * The bucket lengths, ascending. The largest holds the longest sequence, and the sum of (bucket − length) over the data is minimal for
 * their number: an exact dynamic program over the histogram. Returns [] for no data.
 */
export function chooseBuckets(
  lengths: Iterable<number>,
  { maxBuckets, multipleOf, limit = Number.POSITIVE_INFINITY }: BucketSettings,
): number[] {
  const given = [...lengths];
  const longest = given.reduce((most, length) => Math.max(most, length), 0);
  const step = multipleOf * Math.ceil(longest / multipleOf / MAX_CANDIDATES);
  if (given.length === 0) return [];
  const counts = new Map<number, number>();
  for (const length of given) {
    const size = Math.min(limit, Math.max(1, Math.ceil(length / step)) * step);
    counts.set(size, (counts.get(size) ?? 0) + 1);
  }
  const sizes = [...counts.keys()].sort((a, b) => a - b);
  const upTo = [0];
  for (const [index, size] of sizes.entries()) upTo.push(at(upTo, index) + (counts.get(size) ?? 0));

  // best[j]: positions needed by the j smallest sizes; cuts[k][j]: the start of the last of k + 1 buckets.
  let best = upTo.map((count, end) => count * (end === 0 ? 0 : at(sizes, end - 1)));
  const cuts: number[][] = [new Array<number>(sizes.length + 1).fill(0)];
  while (cuts.length < Math.min(maxBuckets, sizes.length)) {
    const next = splitOnce(best, sizes, upTo);
    if (at(next.best, sizes.length) > at(best, sizes.length) * (1 - MIN_GAIN)) break;
    best = next.best;
    cuts.push(next.cut);
  }

  const chosen: number[] = [];
  let end = sizes.length;
  for (const cut of cuts.toReversed()) {
    if (end === 0) break;
    chosen.unshift(at(sizes, end - 1));
    end = at(cut, end);
  }
  return chosen;
}

/** Adds one bucket: for each number of sizes, the best start of the last bucket. */
function splitOnce(best: readonly number[], sizes: readonly number[], upTo: readonly number[]): { best: number[]; cut: number[] } {
  const next = [...best];
  const cut = new Array<number>(best.length).fill(0);
  for (let end = 1; end < best.length; end++) {
    next[end] = Number.POSITIVE_INFINITY;
    for (let start = 0; start < end; start++) {
      const positions = at(best, start) + (at(upTo, end) - at(upTo, start)) * at(sizes, end - 1);
      if (positions >= at(next, end)) continue;
      next[end] = positions;
      cut[end] = start;
    }
  }
  return { best: next, cut };
}

function at(values: readonly number[], index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError(`no entry ${index} among ${values.length}`);
  return value;
}
