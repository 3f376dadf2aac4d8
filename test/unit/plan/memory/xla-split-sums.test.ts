/** The parts that XLA divides the sums of products into, as they stand in programs that it compiled for an H100. */
import { expect, it } from 'vitest';
import { Graph } from '../../../../trainer/graph/graph.ts';
import type { DType } from '../../../../trainer/graph/types.ts';
import { splitSumBytes } from '../../../../trainer/plan/memory/xla-split-sums.ts';

/** Batch, rows, columns, length of the sums, element type, and the parts in the compiled program. */
const compiled: readonly (readonly [number, number, number, number, DType, number])[] = [
  // Rows of gradients, low-rank factors and the gradient of a head in four blocks of Llama-2-7B and Llama-3-8B.
  [1, 128, 4096, 2048, 'bfloat16', 4],
  [1, 128, 4096, 128256, 'bfloat16', 8],
  [1, 208, 4096, 32000, 'bfloat16', 4],
  [1, 64, 11008, 2048, 'float32', 2],
  [1, 128, 11008, 2048, 'float32', 1],
  [1, 2048, 64, 14336, 'float32', 16],
  [1, 2048, 128, 4096, 'float32', 8],
  [1, 2048, 4096, 4096, 'bfloat16', 1],
  // Chunks of their attention.
  [8, 768, 128, 1024, 'bfloat16', 2],
  [8, 1280, 128, 1024, 'bfloat16', 1],
  [32, 256, 128, 1024, 'bfloat16', 1],
  [32, 256, 128, 1280, 'bfloat16', 2],
  // Products of SmolLM2-135M.
  [1, 512, 576, 1536, 'float32', 4],
  [1, 512, 16, 576, 'float32', 8],
  [1, 128, 576, 49152, 'float32', 32],
  [1, 512, 1536, 576, 'float32', 1],
];

it.each(compiled)('%i × [%i, %i] with sums of %i in %s has %i parts', (batch, rows, columns, inner, dtype, parts) => {
  const graph = new Graph();
  const product = graph.matmul(graph.feed('a', [batch, rows, inner], dtype), graph.feed('b', [batch, inner, columns], dtype));
  expect(splitSumBytes(product)).toBe(parts === 1 ? 0 : parts * 4 * batch * rows * columns);
});

it('the transposes of factors change nothing, and other operations have no parts', () => {
  const graph = new Graph();
  const [a, b] = [graph.feed('a', [1536, 512]), graph.feed('b', [576, 1536])];
  const product = graph.matmul(a, b, { transposeA: true, transposeB: true });
  expect(splitSumBytes(product)).toBe(4 * 4 * 512 * 576);
  expect(splitSumBytes(graph.exp(product))).toBe(0);
});
