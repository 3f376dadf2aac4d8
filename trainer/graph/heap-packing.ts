/**
 * Packs buffers into one block as XLA's buffer assignment does (`GlobalDecreasingSizeBestFitHeap` of its heap simulator): the largest first, or
 * those that live longest first. Each goes into the smallest gap that is free for as long as it lives, the lowest of equal ones. XLA keeps the
 * smaller of the two blocks. Gaps that nothing fits into are holes: the block is larger than what is alive at once.
 */

/** A buffer, from the step that makes it to the last that reads it. */
export interface Span {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Returns the bytes of the block.
 * @param alive the most bytes that are alive at once: a block of that size is as good as any
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

/** Buffers in the order of their offsets, in arrays of numbers: a whole model has thousands, each of which is compared with all before it. */
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

  /** The begin of the smallest gap, or of what lies behind everything that is there at the same time. */
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

  /** How many begin before, or there. */
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
