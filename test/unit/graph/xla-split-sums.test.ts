/** Tests the parts into which XLA divides the sums of products, from programs that it compiled for cards. */
import { describe, expect, it } from 'vitest';
import { ASSUMED_CARD, type CardName, cardCatalog, cardNames } from '../../../trainer/catalog/cards.ts';
import { deviceCard } from '../../../trainer/catalog/device-card.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { isOp } from '../../../trainer/graph/node-store.ts';
import type { DType } from '../../../trainer/graph/types.ts';
import { filledRows, type SplittingCard, splitSumBytes } from '../../../trainer/graph/xla-split-sums.ts';
import { required } from '../../../trainer/narrow.ts';
import { memoryOnGpu } from '../../../trainer/plan/memory/engine-memory.ts';
import type { ComputesOn } from '../../../trainer/train/recipe-settings.ts';

/** Batch, rows, columns, length of the sums, element type, and the number of parts in the program compiled for an H100. */
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

const { h100 } = cardCatalog;

function partsOf(card: SplittingCard, [batch, rows, columns, inner, type]: (typeof compiled)[number] | (typeof products)[number]): number {
  const graph = new Graph();
  const product = graph.matmul(graph.feed('a', [batch, rows, inner], type), graph.feed('b', [batch, inner, columns], type));
  return splitSumBytes(product, card) / (4 * batch * rows * columns) || 1;
}

it.each(compiled)('%i × [%i, %i] with sums of %i in %s has %i parts', (...product) => {
  expect(partsOf(h100, product)).toBe(product[5]);
});

/** The same without the number of parts. */
const products: readonly (readonly [number, number, number, number, DType])[] = [
  [1, 128, 4096, 2048, 'bfloat16'],
  [1, 2048, 64, 14336, 'float32'],
  [1, 512, 576, 1536, 'float32'],
  [8, 768, 128, 1024, 'bfloat16'],
  [1, 128, 4096, 16384, 'bfloat16'],
  [1, 208, 4096, 32000, 'bfloat16'],
  [1, 64, 11008, 2048, 'float32'],
  [1, 2048, 128, 4096, 'float32'],
  [1, 512, 16, 576, 'float32'],
  [1, 128, 576, 49152, 'float32'],
  [1, 32, 68, 192, 'float32'],
  [1, 33, 258, 256, 'float32'],
];

/** By card, the number of parts of each of these products, compiled alone. */
const onCards: Readonly<Partial<Record<CardName, readonly number[]>>> = {
  'rtx-3060': [1, 4, 1, 1, 1, 1, 1, 2, 4, 8, 1, 4],
  'rtx-3090': [2, 8, 4, 1, 4, 2, 1, 4, 4, 16, 1, 4],
  'rtx-4090': [2, 8, 4, 1, 4, 2, 1, 4, 4, 32, 1, 4],
  'rtx-5090': [4, 16, 4, 2, 8, 4, 2, 8, 8, 32, 1, 8],
  l4: [2, 8, 2, 1, 2, 1, 1, 4, 4, 16, 1, 4],
  l40s: [2, 8, 4, 1, 4, 4, 1, 4, 4, 32, 1, 4],
  a100: [2, 8, 4, 1, 4, 2, 1, 4, 4, 32, 1, 4],
  h100: [4, 16, 4, 2, 4, 4, 2, 8, 8, 32, 8, 8],
  b200: [4, 16, 4, 2, 8, 4, 1, 8, 8, 32, 1, 8],
  'rx-7900-xt': [1, 8, 2, 1, 2, 1, 1, 4, 4, 8, 1, 4],
  'rx-7900-xtx': [1, 8, 2, 1, 2, 1, 1, 4, 4, 16, 1, 4],
  'rx-9070-xt': [1, 4, 2, 1, 1, 1, 1, 2, 4, 8, 1, 4],
  'radeon-8060s': [1, 4, 1, 1, 1, 1, 1, 2, 4, 4, 1, 4],
  mi300x: [2, 8, 4, 1, 8, 4, 1, 4, 4, 32, 1, 4],
};

it.each(Object.entries(onCards))('each card has parts of its own: %s', (name, parts) => {
  // The keys of the table are card names.
  expect(products.map(product => partsOf(cardCatalog[name as CardName], product))).toEqual(parts);
});

it.each([
  [28, [1, 4, 2, 1, 1, 1, 1, 2, 8, 8]],
  [58, [2, 8, 4, 1, 2, 1, 1, 4, 8, 16]],
  [82, [2, 8, 4, 1, 4, 2, 1, 4, 8, 16]],
  [108, [4, 16, 4, 2, 4, 2, 2, 8, 8, 32]],
  [170, [4, 16, 4, 2, 8, 4, 2, 8, 8, 32]],
])('an H100 with %i multiprocessors has others', (multiprocessors, parts) => {
  expect(products.slice(0, parts.length).map(product => partsOf({ ...h100, multiprocessors }, product))).toEqual(parts);
});

it('the transposes of factors change nothing, and other operations have no parts', () => {
  const graph = new Graph();
  const [a, b] = [graph.feed('a', [1536, 512]), graph.feed('b', [576, 1536])];
  const product = graph.matmul(a, b, { transposeA: true, transposeB: true });
  expect(splitSumBytes(product, h100)).toBe(4 * 4 * 512 * 576);
  expect(splitSumBytes(graph.exp(product), h100)).toBe(0);
});

describe('the gradient of some logits toward hidden states, whose sums go over all words', () => {
  function gradientOf(count: number, [words, width]: readonly [number, number], transposeA = false): Node<'matmul'> {
    const graph = new Graph();
    const logits = graph.cast(graph.feed('logits', transposeA ? [words, count] : [count, words]), 'bfloat16');
    const found = graph.matmul(logits, graph.feed('head', [words, width], 'bfloat16'), { transposeA });
    if (!isOp(found, 'matmul')) throw new Error('no product');
    return found;
  }
  const qwen3 = (width: number) => [151_936, width] as const;

  it.each([
    // More than 16 parts would differ in length, and XLA would copy the head; compiled for these cards.
    [47, 2048, 'h100', 64],
    [43, 2048, 'h100', 64],
    [48, 1024, 'rtx-4090', 112],
    [16, 4096, 'h100', 32],
    // Two tiles of rows.
    [128, 1024, 'b200', 144],
    // Its parts need no copies.
    [96, 2048, 'h100', 96],
    [47, 4096, 'rtx-4090', 47],
  ] as const)(
    'is computed for more rows where the head would be copied: %i of Qwen3 at width %i on %s as %i',
    (rows, width, card, filled) => {
      expect(filledRows(gradientOf(rows, qwen3(width)), cardCatalog[card])).toBe(filled);
      expect(filledRows(gradientOf(rows, qwen3(width), true), cardCatalog[card])).toBe(filled);
    },
  );

  it('is computed as it is where words divide into all parts', () => {
    for (const [words, width] of [
      [128_256, 4096],
      [32_000, 4096],
      [262_144, 2560],
      [49_152, 576],
    ] as const)
      for (const rows of [16, 47, 96])
        for (const card of cardNames) expect(filledRows(gradientOf(rows, [words, width]), cardCatalog[card])).toBe(rows);
  });

  it('takes the parts of those rows, the rows and their results, in place of a copy of the head', () => {
    const [parts, words] = [16, 151_936];
    expect(splitSumBytes(gradientOf(47, qwen3(2048)), h100)).toBe(2 * 64 * words);
    // The parts of few rows take more memory than the rows.
    expect(splitSumBytes(gradientOf(16, qwen3(4096)), h100)).toBe(2 * 32 * words + parts * 4 * 32 * 4096 - 2 * 16 * words);
    expect(splitSumBytes(gradientOf(96, qwen3(2048)), h100)).toBe(parts * 4 * 96 * 2048);
  });
});

it('factors are copied where their parts would not be as long as each other, and cannot be filled up', () => {
  const graph = new Graph();
  const product = graph.matmul(graph.feed('a', [2, 47, 151_936], 'bfloat16'), graph.feed('b', [2, 151_936, 512], 'bfloat16'));
  expect(splitSumBytes(product, h100)).toBeGreaterThan(2 * 2 * 151_936 * (47 + 512));
});

it('the GPU that is there has the numbers of its own card, a card that is named its own, and nothing the assumed ones', () => {
  const graph = new Graph();
  const product = graph.matmul(graph.feed('a', [128, 49_152]), graph.feed('b', [49_152, 576]));
  const on = (where: Pick<ComputesOn, 'card' | 'gpu'>): number =>
    required(memoryOnGpu({ engine: 'pjrt', device: 'gpu', ...where })?.rules.scratchBytes, 'a rule')(product);
  const gpu = deviceCard({ name: 'NVIDIA RTX A6000', capability: '8.6', multiprocessors: 84 });
  const own = splitSumBytes(product, { capability: '8.6', multiprocessors: 84 });
  expect(own).not.toBe(splitSumBytes(product, h100));
  expect(on({ gpu })).toBe(own);
  expect(on({ gpu: deviceCard({ name: 'NVIDIA L4' }) })).toBe(splitSumBytes(product, cardCatalog.l4));
  expect(on({ gpu, card: 'h100' })).toBe(splitSumBytes(product, h100));
  expect(on({})).toBe(splitSumBytes(product, cardCatalog[ASSUMED_CARD]));
});
