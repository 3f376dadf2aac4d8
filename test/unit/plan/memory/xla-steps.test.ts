/**
 * Tests which operations of a schedule have a buffer after XLA's fusion. bench/results/cards.md shows how close that comes to its compiler.
 */
import { describe, expect, it } from 'vitest';
import { type CardName, cardCatalog } from '../../../../trainer/catalog/cards.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { liveness } from '../../../../trainer/graph/liveness.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { required } from '../../../../trainer/narrow.ts';
import { xlaSteps } from '../../../../trainer/plan/memory/xla-steps.ts';

const SIZE = 64;
const BYTES = 4 * SIZE * SIZE;

interface On {
  readonly size?: number;
  readonly card?: CardName;
}

function buffersOf(build: (graph: Graph, x: Node) => Node, { size = SIZE, card = 'h100' }: On = {}) {
  const graph = new Graph();
  const outputs = { y: build(graph, graph.feed('x', [size, size])) };
  const signature = required(assemble({ run: { graph, outputs, effects: [] } }).signatures.run, 'the signature');
  const steps = xlaSteps(signature, cardCatalog[card]);
  return { steps, ops: steps.flatMap(({ nodes }) => nodes.map(({ op }) => op)), peakBytes: liveness(signature, steps).peakBytes };
}

describe('buffers of a schedule', () => {
  it('are not those of operations that one reader computes', () => {
    const { ops } = buffersOf((graph, x) => graph.sum(graph.exp(graph.mul(x, 2)), [1]));
    expect(ops.filter(op => op === 'mul' || op === 'exp')).toEqual([]);
  });

  it.each([
    ['in the backward pass', { phase: 1, inner: SIZE }, 2],
    ['not in the forward pass', { phase: 0, inner: SIZE }, 0],
    ['not if its sums are split', { phase: 1, inner: 2 ** 16 }, 0],
  ])('are those of a sum that the kernel of a product writes, and of what it adds, %s', (_, { phase, inner }, sums) => {
    const { ops } = buffersOf((graph, x) => {
      const product = (name: string): Node => graph.matmul(graph.feed(`a${name}`, [SIZE, inner]), graph.feed(`b${name}`, [inner, SIZE]));
      return graph.within({ phase }, () => graph.sum(graph.add(graph.add(graph.exp(product('1')), x), product('2')), [1]));
    });
    expect(ops.filter(op => op === 'add')).toHaveLength(sums);
  });

  it('are written by one kernel, if they are elementwise gradients that read the same tensor', () => {
    const { steps } = buffersOf((graph, x) => {
      const [first, second] = [graph.matmul(x, x), graph.matmul(graph.exp(x), x)];
      return graph.within({ phase: 1, block: 0 }, () =>
        graph.add(graph.matmul(graph.mul(first, second), x), graph.matmul(graph.sub(first, second), x)),
      );
    });
    const ops = steps.flatMap(({ nodes }) => nodes.map(({ op }) => op));
    expect(ops.slice(ops.indexOf('mul'))).toEqual(['mul', 'sub', 'matmul', 'matmul', 'add']);
  });

  it('are those of what a product reads', () => {
    const { ops } = buffersOf((graph, x) => graph.matmul(graph.exp(x), x));
    expect(ops).toContain('exp');
  });

  it.each([
    [20_000, false],
    [1000, true],
  ])('are those of a softmax only where one kernel computes its whole rows: %i elements', (words, hasBuffer) => {
    const { ops } = buffersOf((graph, x) => {
      const logits = graph.matmul(x, graph.feed('head', [SIZE, words]));
      return graph.matmul(graph.cast(graph.softmax(logits), 'bfloat16'), graph.feed('table', [words, SIZE], 'bfloat16'));
    });
    expect(ops.includes('softmax')).toBe(hasBuffer);
  });

  it('are those of a tensor that the graph marks as the one to keep, once the backward pass reads it', () => {
    const opsIn = (phase: number, isKept: boolean): readonly string[] =>
      buffersOf((graph, x) => {
        const scaled = graph.mul(graph.matmul(x, x), 3);
        scaled.kept = isKept || undefined;
        const forward = graph.sum(scaled, [0, 1]);
        return graph.within({ phase }, () => graph.add(graph.sum(graph.exp(scaled), [0, 1]), forward));
      }).ops;
    expect(opsIn(1, true)).toContain('mul');
    expect(opsIn(1, false)).not.toContain('mul');
    expect(opsIn(0, true)).not.toContain('mul');
  });

  it('are those of a narrow tensor that the graph keeps, if the backward pass reads it widened', () => {
    const opsIn = (isKept: boolean): readonly string[] =>
      buffersOf(
        (graph, x) => {
          const half = graph.cast(x, 'bfloat16');
          const product = (of: Node): Node => graph.cast(graph.matmul(of, half), 'float32');
          const narrow = graph.cast(graph.add(product(half), product(graph.transpose(half, [1, 0]))), 'bfloat16');
          narrow.kept = isKept || undefined;
          const wide = graph.cast(narrow, 'float32');
          const forward = graph.sum(graph.exp(wide), [0, 1]);
          return graph.within({ phase: 1 }, () => graph.add(graph.sum(graph.square(wide), [0, 1]), forward));
        },
        { size: 1024 },
      ).ops;
    const casts = (isKept: boolean): number => opsIn(isKept).filter(op => op === 'cast').length;
    expect(casts(true) - casts(false)).toBe(1);
  });

  it.each([
    [[1], [1], false],
    [[1], [2], true],
  ])('are those of a tensor that is summed along axis %j and along axis %j: %j', (some, others, hasBuffer) => {
    const { ops } = buffersOf((graph, x) => {
      const scaled = graph.exp(graph.reshape(x, [1, SIZE, SIZE]));
      const sums = [graph.sum(scaled, some), graph.sum(graph.neg(scaled), others)].map(sum => graph.reshape(sum, [SIZE]));
      return graph.concat(sums, 0);
    });
    expect(ops.includes('exp')).toBe(hasBuffer);
  });

  it.each([
    [1024, true],
    [SIZE, false],
  ])('are those of what many readers would compute from much, unless a kernel for it takes longer: %i rows', (size, hasBuffer) => {
    const sumOfProducts = (graph: Graph, x: Node): Node => graph.add(graph.matmul(x, x), graph.matmul(x, graph.exp(x)));
    const { ops } = buffersOf(
      (graph, x) => {
        const shared = sumOfProducts(graph, x);
        return graph.concat([graph.sum(shared, [1]), graph.sum(graph.exp(shared), [1]), graph.sum(graph.neg(shared), [1])], 0);
      },
      { size },
    );
    expect(ops.includes('add')).toBe(hasBuffer);
    expect(ops).not.toContain('neg');
  });

  it.each([
    [0, false],
    [1, true],
  ])('are not those of a bfloat16 sum of products in the forward pass: phase %i', (phase, hasBuffer) => {
    const { ops } = buffersOf(
      (graph, x) => {
        const [a, b] = [x, graph.neg(x)].map(each => graph.cast(each, 'bfloat16'));
        const product = (of: Node): Node => graph.cast(graph.matmul(of, of), 'float32');
        return graph.within({ phase }, () => {
          const shared = graph.cast(graph.cast(graph.add(product(required(a, 'a')), product(required(b, 'b'))), 'bfloat16'), 'float32');
          return graph.concat([graph.sum(shared, [1]), graph.sum(graph.exp(shared), [1]), graph.sum(graph.square(shared), [1])], 0);
        });
      },
      { size: 1024 },
    );
    // The products read two narrow casts.
    expect(ops.filter(op => op === 'cast').length > 2).toBe(hasBuffer);
  });

  it('live until the last operation that is computed from them', () => {
    const { peakBytes } = buffersOf((graph, x) => graph.matmul(graph.sum(graph.exp(graph.matmul(x, x)), [0], true), x));
    // x, and its product with itself.
    expect(peakBytes).toBeGreaterThanOrEqual(2 * BYTES);
    expect(peakBytes).toBeLessThan(3 * BYTES);
  });

  const half = (graph: Graph, x: Node): Node => graph.slice(x, [0, 0], [SIZE / 2, SIZE]);

  it('are not those of a part that a product reads without summing over it, where the whole has one', () => {
    const products = (graph: Graph, x: Node, of: Node): Node =>
      graph.concat([graph.matmul(x, half(graph, of), { transposeB: true }), graph.matmul(x, of)], 1);
    expect(buffersOf((graph, x) => products(graph, x, graph.exp(x))).ops).not.toContain('slice');
    // Only the part of this tensor is read.
    expect(buffersOf((graph, x) => graph.matmul(x, half(graph, graph.exp(x)), { transposeB: true })).ops).toContain('slice');
  });

  it('are those of a part that a product sums over, until it has', () => {
    const summed = (graph: Graph, x: Node, part: Node): Node => graph.matmul(graph.slice(x, [0, 0], [SIZE, SIZE / 2]), part);
    const { ops } = buffersOf((graph, x) => summed(graph, x, half(graph, x)));
    expect(ops).toContain('slice');
    // Both return a value for each pair of products; only in the second is the part read again in place.
    const peakOf = (again: (part: Node, graph: Graph) => Node): number =>
      buffersOf((graph, x) => {
        const part = half(graph, x);
        const first = graph.sum(summed(graph, x, part), [0, 1]);
        const wide = graph.matmul(graph.matmul(x, x), x);
        return graph.add(first, graph.sum(graph.matmul(wide, again(part, graph), { transposeB: true }), [0, 1]));
      }).peakBytes;
    expect(peakOf(part => part)).toBe(peakOf((_, graph) => graph.read({ name: 'w', shape: [SIZE / 2, SIZE], dtype: 'float32' })));
  });

  it('are not those of operands that a kernel may write its result into, unless it has two sums to compute from that', () => {
    const peakOf = (sums: number): number =>
      buffersOf((graph, x) => {
        const shifted = graph.mul(graph.matmul(x, x), 3);
        const read = graph.matmul(shifted, graph.slice(x, [0, 0], [SIZE, 1]));
        const totals = Array.from({ length: sums }, (_, axis) => graph.sum(graph.sum(shifted, [axis], true), [0, 1]));
        return totals.reduce((all, each) => graph.add(all, each), read);
      }).peakBytes;
    expect(peakOf(2) - peakOf(1)).toBeGreaterThan(BYTES / 2);
  });

  it('are those of what a large buffer waits for', () => {
    const { steps } = buffersOf((graph, x) => {
      const base = graph.matmul(x, x);
      const read = (part: Node): Node => graph.matmul(part, graph.slice(x, [0, 0], [SIZE, 1]));
      return graph.add(read(graph.exp(base)), read(graph.exp(graph.neg(base))));
    });
    const [, exp, reader, later] = steps.filter(({ nodes }) => nodes.some(({ op }) => op === 'matmul' || op === 'exp'));
    expect(exp?.nodes[0]?.op).toBe('exp');
    expect(later?.nodes[0]?.op).toBe('exp');
    expect(later?.reads.includes(required(reader?.nodes[0], 'the reader of the first'))).toBe(true);
  });

  it('are those of what a large buffer waits for until the first that waits has its number', () => {
    const { steps } = buffersOf((graph, x) => {
      const base = graph.matmul(x, x);
      const narrow = graph.slice(x, [0, 0], [SIZE, 1]);
      const read = (part: Node): Node => graph.matmul(part, narrow);
      const first = read(graph.exp(base));
      const shared = graph.exp(graph.neg(base));
      return graph.concat([first, read(shared), read(graph.mul(shared, 2))], 0);
    });
    const reader = required(steps.filter(({ nodes: [node] }) => node?.op === 'matmul')[1]?.nodes[0], 'the reader of the first');
    const waiting = steps.filter(({ nodes: [node], reads }) => node?.op !== 'concat' && reads.includes(reader));
    expect(waiting).toHaveLength(1);
  });

  it('are each counted once, though every operation of a chain reads the one before it twice', () => {
    const { steps } = buffersOf((graph, x) => {
      const base = graph.matmul(x, x);
      const read = (part: Node): Node => graph.matmul(part, graph.slice(x, [0, 0], [SIZE, 1]));
      let power = graph.neg(base);
      for (let i = 0; i < 60; i++) power = graph.mul(power, power);
      return graph.add(read(graph.exp(base)), read(graph.exp(power)));
    });
    const [, , reader, later] = steps.filter(({ nodes }) => nodes.some(({ op }) => op === 'matmul' || op === 'exp'));
    expect(later?.nodes[0]?.op).toBe('exp');
    expect(later?.reads.filter(read => read === reader?.nodes[0])).toHaveLength(1);
  });
});

describe('the erf of a GELU', () => {
  /** A large tensor has 2^20 elements. */
  const LARGE = 1024;

  const keepsErf = (on: On, { hasSum = true, isNarrow = false } = {}): boolean => {
    const { steps } = buffersOf((graph, x) => {
      const product = graph.matmul(x, x);
      const wide = isNarrow ? graph.cast(graph.cast(product, 'bfloat16'), 'float32') : product;
      const share = graph.mul(graph.add(graph.erf(wide), 1), 0.5);
      const gradient = graph.mul(graph.matmul(x, wide), graph.add(share, graph.exp(wide)));
      const next = graph.matmul(graph.mul(wide, share), gradient);
      return hasSum ? graph.add(next, graph.sum(gradient, [0], true)) : next;
    }, on);
    return steps.some(({ nodes }) => nodes.some(({ op, inputs }) => op === 'mul' && inputs[0]?.inputs[0]?.op === 'erf'));
  };

  it('is kept on a B200, where it is large and the gradient is summed', () => {
    expect(keepsErf({ card: 'b200', size: LARGE })).toBe(true);
  });

  it.each([
    ['another card', { card: 'h100', size: LARGE }, {}],
    ['a small tensor', { card: 'b200', size: SIZE }, {}],
    ['a gradient that is not summed', { card: 'b200', size: LARGE }, { hasSum: false }],
    ['numbers that were in bfloat16', { card: 'b200', size: LARGE }, { isNarrow: true }],
  ] as const)('is computed twice for %s', (_, on, graph) => {
    expect(keepsErf(on, graph)).toBe(false);
  });
});
