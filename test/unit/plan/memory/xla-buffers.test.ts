/**
 * Tests the bytes that kernels of a GPU take in addition to the tensors of a graph, and where they write. `test/golden/cards.long.test.ts`
 * compares whole steps with XLA.
 */
import { describe, expect, it } from 'vitest';
import { cardCatalog } from '../../../../trainer/catalog/cards.ts';
import type { Step } from '../../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { liveness } from '../../../../trainer/graph/liveness.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import type { Shape } from '../../../../trainer/graph/types.ts';
import { required } from '../../../../trainer/narrow.ts';
import { cardBuffers } from '../../../../trainer/plan/memory/xla-buffers.ts';
import { xlaSteps } from '../../../../trainer/plan/memory/xla-steps.ts';
import { stepsOfTables } from '../../../../trainer/plan/memory/xla-tables.ts';

const rules = cardBuffers(cardCatalog.h100);
const BATCH = 2;

interface Convolution {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
}

function gradients({ size, kernel, stride }: Convolution, isComputed = false) {
  const graph = new Graph();
  const fed = graph.feed('image', [BATCH, size, size, 3]);
  const image = isComputed ? graph.exp(fed) : fed;
  const places = (size - kernel) / stride + 1;
  const dy = graph.feed('dy', [BATCH, places, places, 8]);
  const filter = graph.read({ name: 'w', shape: [8, 3, kernel, kernel], dtype: 'float32' });
  const attrs = { strides: [stride, stride], padding: [0, 0, 0, 0], dilations: [1, 1], groups: 1 } as const;
  return {
    ofFilter: graph.node('conv2dFilterGrad', [image, dy], { ...attrs, filterShape: filter.shape }),
    ofImage: graph.node('conv2dInputGrad', [dy, filter], { ...attrs, inputShape: image.shape }),
    imageBytes: 4 * BATCH * size * size * 3,
  };
}

describe('gradients of convolutions', () => {
  const patches = { size: 32, kernel: 8, stride: 8 };

  it('of a filter read a transposed image, where their results are not larger than the filter', () => {
    const { ofFilter, imageBytes } = gradients(patches);
    expect(rules.copiesAtStart?.(ofFilter, () => [])).toMatchObject([{ bytes: imageBytes }]);
    const larger = gradients({ size: 32, kernel: 2, stride: 2 });
    expect(rules.copiesAtStart?.(larger.ofFilter, () => [])).toEqual([]);
    expect(rules.scratchBytes(larger.ofFilter)).toBe(0);
  });

  it('read a batch with its channels first before compute capability 9.0', () => {
    const { ofFilter, imageBytes } = gradients({ size: 32, kernel: 2, stride: 2 });
    expect(cardBuffers(cardCatalog.a100).copiesAtStart?.(ofFilter, () => [])).toMatchObject([{ bytes: imageBytes }]);
    expect(cardBuffers(cardCatalog.b200).copiesAtStart?.(ofFilter, () => [])).toEqual([]);
  });

  it('read a filter with its channels last, and that of an image one of a single place too, from compute capability 9.0 on', () => {
    const forwardOf = (kernel: number) => {
      const graph = new Graph();
      const filter = graph.read({ name: 'w', shape: [8, 3, kernel, kernel], dtype: 'float32' });
      const attrs = { strides: [1, 1], padding: [0, 0, 0, 0], dilations: [1, 1], groups: 1 } as const;
      return graph.node('conv2d', [graph.feed('image', [BATCH, 32, 32, 3]), filter], attrs);
    };
    const bytesOf = (kernel: number): number => 4 * 8 * 3 * kernel ** 2;
    expect(rules.copiesAtStart?.(forwardOf(3), () => [])).toMatchObject([{ bytes: bytesOf(3) }]);
    expect(rules.copiesAtStart?.(forwardOf(1), () => [])).toEqual([]);
    for (const kernel of [1, 3]) {
      const { ofImage } = gradients({ size: 32, kernel, stride: 1 });
      expect(rules.copiesAtStart?.(ofImage, () => [])).toMatchObject([{ bytes: bytesOf(kernel) }]);
      expect(cardBuffers(cardCatalog.a100).copiesAtStart?.(ofImage, () => [])).toEqual([]);
    }
  });

  it('copy an image that the program computes when they run', () => {
    const { ofFilter, imageBytes } = gradients(patches, true);
    expect(rules.copiesAtStart?.(ofFilter, () => [])).toEqual([]);
    expect(rules.scratchBytes(ofFilter)).toBe(imageBytes);
  });

  it('of an image read a gradient that is spread by the strides', () => {
    const spread = (convolution: Convolution): number => rules.scratchBytes(gradients(convolution).ofImage);
    // As XLA pads it for an image of 14 × 14 (test/golden/timm_convnext): 15 × 15.
    expect(spread({ size: 14, kernel: 2, stride: 2 })).toBe(4 * BATCH * 8 * 15 * 15);
    expect(spread({ size: 14, kernel: 3, stride: 1 })).toBe(0);
    expect(spread({ size: 13, kernel: 1, stride: 2 })).toBe(0);
  });
});

it("a pooling's gradient goes to places that four numbers name", () => {
  const graph = new Graph();
  const attrs = { size: [2, 2], strides: [2, 2], padding: [0, 0, 0, 0], dilations: [1, 1] } as const;
  const [x, y] = [graph.feed('x', [BATCH, 8, 8, 3]), graph.feed('y', [BATCH, 4, 4, 3])];
  const dx = graph.node('maxPool2dGrad', [x, y, y], attrs);
  expect(rules.scratchBytes(dx)).toBe(4 * 4 * BATCH * 4 * 4 * 3);
});

it('buffers begin at multiples of 256 bytes', () => {
  expect(rules.bytes({ shape: [1], dtype: 'float32' })).toBe(256);
  expect(rules.bytes({ shape: [65], dtype: 'float32' })).toBe(512);
});

const stepsOf = (build: (graph: Graph, x: Node) => Node, shape: Shape = [64, 64]) => {
  const graph = new Graph();
  const outputs = { y: build(graph, graph.feed('x', shape)) };
  const signature = required(assemble({ run: { graph, outputs, effects: [] } }).signatures.run, 'the signature');
  const steps = xlaSteps(signature, cardCatalog.h100);
  return { steps, peakBytes: liveness(signature, steps, rules).peakBytes };
};
const made = (steps: readonly Step[], op: string): Step | undefined => steps.find(({ nodes }) => nodes.some(node => node.op === op));

it('the softmax of a row that one kernel holds takes no place of its input', () => {
  const peak = (columns: number): number =>
    stepsOf((graph, x) => {
      const table = graph.read({ name: 'w', shape: [64, columns], dtype: 'float32' });
      return graph.sum(graph.matmul(graph.softmax(graph.matmul(x, table)), table, { transposeB: true }), [0, 1]);
    }).peakBytes;
  const logits = (columns: number): number => 4 * 64 * columns;
  expect(peak(16_384)).toBeGreaterThanOrEqual(2 * logits(16_384));
  expect(peak(32_768)).toBeLessThan(1.5 * logits(32_768));
});

it('zeros that a sum by ids begins with are there from the start', () => {
  const { steps, peakBytes } = stepsOf((graph, x) => {
    const wide = graph.matmul(x, graph.read({ name: 'w', shape: [64, 8192], dtype: 'float32' }));
    const rows = graph.sum(wide, [1], true);
    const ids = graph.constant(new Int32Array(64), [64], 'int32');
    return graph.sum(graph.segmentSum(graph.mul(rows, x), ids, 4096), [0, 1]);
  });
  expect(made(steps, 'segmentSum')).toBeDefined();
  expect(peakBytes).toBeGreaterThanOrEqual(4 * 64 * 8192 + 4 * 4096 * 64);
});

it('a tensor that is summed twice in the kernel that makes it takes no place of an input, and has a table in the backward pass', () => {
  const summed = (phase: number, axes: readonly number[], recomputed = false) =>
    stepsOf((graph, x) =>
      graph.within({ phase, recomputed }, () => {
        const y = graph.exp(graph.matmul(x, x));
        const product = graph.sum(graph.matmul(y, y), [1], true);
        return axes.reduce((all, axis) => graph.add(all, graph.sum(y, [axis], true)), product);
      }),
    ).steps;
  const exp = made(summed(1, [0, 1]), 'exp');
  expect(exp?.isFresh).toBe(true);
  expect(made(summed(1, [1]), 'exp')?.isFresh).toBeUndefined();
  expect(stepsOfTables(summed(1, [1]))).toContainEqual(
    expect.objectContaining({ reads: exp?.reads.map(({ op }) => expect.objectContaining({ op })) }),
  );
  // The sum of a gradient and a recomputed value is in the gradient's kernel.
  for (const steps of [summed(0, [1]), summed(1, [1], true)])
    expect(stepsOfTables(steps).map(({ nodes }) => nodes[0]?.op)).not.toContain('exp');
});

it('a product reads a tensor where it lies, and no broadcast copy of it', () => {
  const { steps } = stepsOf((graph, x) => graph.matmul(graph.reshape(x, [2, 32, 64]), graph.broadcast(graph.exp(x), [2, 64, 64])));
  expect(made(steps, 'broadcast')).toBeUndefined();
});
