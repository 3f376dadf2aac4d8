/** Compares packing buffers into one block with cases worked out by hand and with a naive version of XLA's rule. */
import { describe, expect, it } from 'vitest';
import { packedBytes, type Span } from '../../../trainer/graph/heap-packing.ts';
import { createRandom } from '../../../trainer/random.ts';

const span = (bytes: number, first: number, last: number): Span => ({ bytes, first, last });

/** The largest sum of live bytes. */
const aliveAtOnce = (spans: readonly Span[]): number =>
  Math.max(
    ...spans.map(({ first }) => spans.filter(each => each.first <= first && each.last >= first).reduce((sum, { bytes }) => sum + bytes, 0)),
  );

/** Tries every offset from the lowest, and measures the gap around it. */
function naiveBytes(spans: readonly Span[], order: (a: Span, b: Span) => number): number {
  const placed: { span: Span; at: number }[] = [];
  for (const next of spans.toSorted(order)) {
    const others = placed.filter(({ span: each }) => each.first <= next.last && each.last >= next.first);
    const ends = [0, ...others.map(({ span: each, at }) => at + each.bytes)].toSorted((a, b) => a - b);
    const gaps = ends
      .filter(at => others.every(({ span: each, at: begin }) => at >= begin + each.bytes || at < begin || each.bytes === 0))
      .map(at => ({
        at,
        size: Math.min(...others.filter(({ at: begin }) => begin >= at).map(({ at: begin }) => begin), Number.POSITIVE_INFINITY) - at,
      }))
      .filter(({ size }) => size >= next.bytes);
    const [best] = gaps.toSorted((a, b) => a.size - b.size || a.at - b.at);
    placed.push({ span: next, at: best?.at ?? 0 });
  }
  return Math.max(...placed.map(({ span: each, at }) => at + each.bytes));
}

const timeOf = ({ first, last }: Span): number => last - first;
const orders = [
  (a: Span, b: Span) => b.bytes - a.bytes || timeOf(b) - timeOf(a),
  (a: Span, b: Span) => timeOf(b) - timeOf(a) || b.bytes - a.bytes,
];

describe('the block of all buffers', () => {
  it('is as large as the largest buffer if each starts after the one before ends', () =>
    expect(packedBytes([span(10, 0, 1), span(30, 2, 3), span(20, 4, 5)])).toBe(30));

  it('is as large as the sum if a step reads one buffer and writes the other', () =>
    expect(packedBytes([span(10, 0, 1), span(30, 1, 2)])).toBe(40));

  it('has a hole if no buffer fits where a larger one ended', () => {
    const spans = [span(2, 0, 0), span(2, 0, 0), span(3, 0, 1), span(3, 1, 3)];
    expect(aliveAtOnce(spans)).toBe(7);
    // The second 3 is at offset 0, and the first after it. Below the first, 3 are free at step 0: one 2 is there, and the other after both.
    expect(packedBytes(spans)).toBe(8);
  });

  it('leaves out what has no bytes', () => expect(packedBytes([span(0, 0, 9), span(8, 3, 4)])).toBe(8));

  it('is that of the naive version', () => {
    const random = createRandom(7);
    for (let trial = 0; trial < 200; trial++) {
      const spans = Array.from({ length: 40 }, () => {
        const first = random.below(50);
        return span(256 * (1 + random.below(20)), first, first + random.below(12));
      });
      const packed = packedBytes(spans);
      expect(packed).toBe(Math.min(...orders.map(order => naiveBytes(spans, order))));
      expect(packed).toBeGreaterThanOrEqual(aliveAtOnce(spans));
    }
  });
});
