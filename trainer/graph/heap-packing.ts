/**
 * Packs buffers into one block as XLA's buffer assignment does (`GlobalDecreasingSizeBestFitHeap` of its heap simulator): once with the
 * largest buffers first, and once with the longest-lived first. Each goes into the smallest gap that is free for its whole lifetime, the
 * lowest of equal ones. XLA keeps the smaller of the two blocks. Gaps that nothing fits into remain as holes, so the block is larger than
 * the peak of live bytes.
 */

/** A buffer, from the step that writes it to the last step that reads it. */
export interface Span {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Returns the size of the block in bytes.
 * @param alive peak of live bytes: a block of that size is optimal
 */
export function packedBytes(spans: readonly Span[], alive = 0): number {
  const real = spans.filter(({ bytes }) => bytes > 0);
  const bytes = blockBytes(real.toSorted(bySize));
  return bytes <= alive ? bytes : Math.min(bytes, blockBytes(real.toSorted(byTime)));
}

const timeOf = ({ first, last }: Span): number => last - first;
const bySize = (a: Span, b: Span): number => b.bytes - a.bytes || timeOf(b) - timeOf(a);
const byTime = (a: Span, b: Span): number => timeOf(b) - timeOf(a) || b.bytes - a.bytes;

function blockBytes(ordered: readonly Span[]): number {
  const block = new Block(ordered.length);
  for (const span of ordered) block.place(span);
  return block.bytes;
}

/** Buffers sorted by offset, in typed arrays: a whole model has thousands, and each is compared with all earlier ones. */
class Block {
  bytes = 0;
  private count = 0;
  private readonly begins: Float64Array;
  private readonly ends: Float64Array;
  private readonly firsts: Int32Array;
  private readonly lasts: Int32Array;

  constructor(size: number) {
    this.begins = new Float64Array(size);
    this.ends = new Float64Array(size);
    this.firsts = new Int32Array(size);
    this.lasts = new Int32Array(size);
  }

  place(span: Span): void {
    const begin = this.gapFor(span);
    const end = begin + span.bytes;
    const at = this.placeOf(begin);
    for (const list of [this.begins, this.ends, this.firsts, this.lasts]) list.copyWithin(at + 1, at, this.count);
    this.begins[at] = begin;
    this.ends[at] = end;
    this.firsts[at] = span.first;
    this.lasts[at] = span.last;
    this.count++;
    this.bytes = Math.max(this.bytes, end);
  }

  /** Returns the start of the smallest fitting gap, or else the end of everything that is alive at the same time. */
  private gapFor({ bytes, first, last }: Span): number {
    const { begins, ends, firsts, lasts, count } = this;
    let [free, best, least] = [0, -1, Number.POSITIVE_INFINITY];
    for (let i = 0; i < count; i++) {
      if ((lasts[i] as number) < first || (firsts[i] as number) > last) continue;
      const gap = (begins[i] as number) - free;
      if (gap >= bytes && gap < least) [best, least] = [free, gap];
      free = Math.max(free, ends[i] as number);
    }
    return best < 0 ? free : best;
  }

  /** Returns the number of buffers that begin at or before this offset. */
  private placeOf(begin: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.begins[middle] as number) <= begin) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
