/** Tests the order that StableHLO's data dependencies enforce, without a plugin: XLA schedules by nothing else. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { cardCatalog } from '../../../../trainer/catalog/cards.ts';
import { lowerSignature } from '../../../../trainer/engine/pjrt/lower.ts';
import type { AttentionScores } from '../../../../trainer/graph/attributes.ts';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import type { SplittingCard } from '../../../../trainer/graph/xla-split-sums.ts';
import { required } from '../../../../trainer/narrow.ts';

/** Returns the text of the main function, whose names no other function shares. */
function textOf(graph: Graph, y: Node): string {
  const { signatures, variables } = assemble({ run: { graph, outputs: { y }, effects: [] } });
  const { text } = lowerSignature(required(signatures.run, 'the signature'), new Map(variables.map(spec => [spec.name, spec])));
  return text.slice(text.indexOf('func.func public @main'));
}

/** Multiplies each part of x to a large product, and reduces each to a little. */
function partsOf(count: number): string {
  const graph = new Graph();
  const x = graph.feed('x', [8 * count, 16]);
  const w = graph.read({ name: 'w', shape: [16, 4096], dtype: 'float32' });
  const little = (i: number): Node => graph.sum(graph.exp(graph.matmul(graph.slice(x, [8 * i, 0], [8, 16]), w)), [1]);
  const y = graph.concat(
    Array.from({ length: count }, (_, i) => little(i)),
    0,
  );
  return textOf(graph, y);
}

/** Returns the lines that a value is computed from. */
function behind(text: string, value: string, seen = new Set<string>()): ReadonlySet<string> {
  const line = text.split('\n').find(each => each.trim().startsWith(`${value} =`));
  if (!line || seen.has(line)) return seen;
  seen.add(line);
  for (const [name] of line.slice(line.indexOf('=')).matchAll(/%\w+/g)) behind(text, name, seen);
  return seen;
}

const productsOf = (lines: Iterable<string>): string[] => [...lines].filter(line => line.includes('dot_general'));

it('a large product waits until the one before it has been used', () => {
  const text = partsOf(3);
  const products = productsOf(text.split('\n'));
  expect(products).toHaveLength(3);
  const counts = products.map(line => productsOf(behind(text, line.trim().split(' ')[0] ?? '')).length);
  expect(counts).toEqual([1, 2, 3]);
});

const linesWith = (text: string, part: string): string[] => text.split('\n').filter(line => line.includes(part));

it('the numbers of a random mask wait for what is made before it, and the mask is kept as it is', () => {
  const graph = new Graph();
  const zero = graph.constant(Float32Array.of(0), [], 'float32');
  const dropped = (x: Node, seed: string): Node => graph.select(graph.randomMask(graph.feed(seed, [2], 'int32'), [4, 16], 0.5), x, zero);
  const text = textOf(graph, dropped(graph.exp(dropped(graph.exp(graph.feed('x', [4, 16])), 'first')), 'second'));
  const drawn = linesWith(text, 'func.call @philox');
  expect(drawn).toHaveLength(2);
  const exponents = drawn.map(
    line => [...behind(text, line.trim().split(' ')[0] ?? '')].filter(each => each.includes('exponential')).length,
  );
  expect(exponents).toEqual([1, 2]);
  for (const line of linesWith(text, 'stablehlo.select')) {
    const mask = /select (%\w+)/.exec(line)?.[1] ?? '';
    expect(linesWith(text, `${mask} = stablehlo.optimization_barrier`)).toHaveLength(1);
  }
});

describe('a tensor that is marked as the one to keep for the backward pass', () => {
  /** A product, a transposed form that both passes may read, and what they compute from it. */
  function textWhere({ isMarked, phase }: { readonly isMarked: boolean; readonly phase: number }): string {
    const graph = new Graph();
    const product = graph.matmul(graph.feed('x', [4, 16]), graph.feed('w', [16, 4]));
    const kept = graph.transpose(product, [1, 0]);
    if (isMarked) kept.kept = true;
    const forward = graph.exp(kept);
    const later = graph.within({ phase }, () => graph.neg(graph.reshape(kept, [16])));
    return textOf(graph, graph.add(graph.reshape(forward, [16]), later));
  }
  const barriers = (text: string): string[] => linesWith(text, 'stablehlo.optimization_barrier');

  it('is read through a barrier, by both passes', () => {
    const text = textWhere({ isMarked: true, phase: 1 });
    const [held = '', ...others] = barriers(text).map(line => line.trim().split(' ')[0]);
    expect(others).toEqual([]);
    for (const reader of ['stablehlo.exponential', 'stablehlo.reshape']) expect(linesWith(text, reader)[0]).toContain(held);
  });

  it('is as any other where only the forward pass reads it, or without the mark', () => {
    expect(barriers(textWhere({ isMarked: true, phase: 0 }))).toEqual([]);
    expect(barriers(textWhere({ isMarked: false, phase: 1 }))).toEqual([]);
  });
});

it('a gradient that a loop over experts gave in bfloat16 waits in bfloat16 for what is computed again', () => {
  const graph = new Graph();
  const w = graph.read({ name: 'w', shape: [16, 4], dtype: 'bfloat16' });
  const kept = graph.within({ block: 0 }, () => graph.exp(graph.feed('x', [6, 4])));
  const wide = graph.within({ block: 0, phase: 1 }, () => {
    const product = graph.expertProduct(graph.feed('dy', [6, 8], 'bfloat16'), w, graph.feed('ids', [6], 'int32'), {
      experts: 2,
      transposed: true,
    });
    return graph.cast(product, 'float32');
  });
  const again = graph.within({ block: 0, recomputed: true }, () => graph.neg(kept));
  const text = textOf(
    graph,
    graph.within({ block: 0, phase: 1 }, () => graph.mul(wide, again)),
  );
  const [barrier = '', ...others] = linesWith(text, 'stablehlo.optimization_barrier');
  expect(others).toEqual([]);
  expect(barrier).toContain(': tensor<6x4xf32>, tensor<6x4xbf16>');
  // The value is widened after the barrier.
  const held = barrier.split('=')[0]?.split(',')[1]?.trim() ?? '';
  const [widened = ''] = linesWith(text, `stablehlo.convert ${held} :`).map(line => line.trim().split(' ')[0]);
  expect(linesWith(text, 'stablehlo.multiply').some(line => line.includes(`stablehlo.multiply ${widened},`))).toBe(true);
});

it('a gradient that repeats a smaller one is repeated behind what is computed again', () => {
  const graph = new Graph();
  const x = graph.exp(graph.feed('x', [6, 4]));
  const y = graph.within({ phase: 1 }, () => {
    const repeated = graph.broadcast(graph.sum(graph.neg(x), [0], true), [6, 4]);
    const again = graph.within({ recomputed: true }, () => graph.exp(x));
    return graph.add(graph.mul(repeated, again), repeated);
  });
  const barriers = linesWith(textOf(graph, y), 'stablehlo.optimization_barrier');
  expect(barriers).toEqual([expect.stringContaining(': tensor<6x4xf32>, tensor<1x4xf32>')]);
});

describe('new rows of several variables that are computed together', () => {
  /** Updates the trained rows of each variable, all at once; a product reads the last variable. */
  function textOfUpdate(counts: readonly number[]): string {
    const graph = new Graph();
    const rowsOf = (count: number): Node =>
      graph.constant(
        Int32Array.from({ length: count }, (_, i) => i),
        [count],
        'int32',
      );
    const read = (i: number): Node => graph.read({ name: `w${i}`, shape: [64, 4], dtype: 'float32' });
    const y = graph.matmul(graph.feed('x', [6, 4]), read(counts.length - 1), { transposeB: true });
    const rows = counts.map((count, i) => graph.gather(read(i), rowsOf(count)));
    const next = graph.neg(graph.concat(rows, 0));
    let begin = 0;
    const writes = counts.map((count, i) => {
      const part = graph.slice(next, [begin, 0], [count, 4]);
      begin += count;
      return graph.updateRows(`w${i}`, rowsOf(count), part);
    });
    const { signatures, variables } = assemble({ run: { graph, outputs: { y }, effects: writes } });
    return lowerSignature(required(signatures.run, 'run'), new Map(variables.map(spec => [spec.name, spec]))).text;
  }
  /** Returns barriers that hold only these values; those of updates also wait for readers. */
  const holding = (text: string): string[] => {
    const [next = ''] = linesWith(text, 'stablehlo.negate').map(line => line.trim().split(' ')[0]);
    return linesWith(text, `stablehlo.optimization_barrier ${next} :`);
  };

  it('are computed once, for all of them, where the variables have different numbers of rows', () => {
    const text = textOfUpdate([2, 2, 8]);
    const [held = '', ...others] = holding(text);
    expect(others).toEqual([]);
    const name = held.trim().split(' ')[0];
    const parts = linesWith(text, `stablehlo.slice ${name} `);
    expect(parts).toHaveLength(3);
  });

  it('are as any others where they have as many', () => {
    expect(holding(textOfUpdate([2, 2, 2]))).toEqual([]);
  });
});

describe('the gradient of a few logits of a head whose words do not divide', () => {
  const [rows, words, width] = [47, 151_936, 2048];
  const graph = new Graph();
  const y = graph.matmul(graph.feed('logits', [rows, words], 'bfloat16'), graph.feed('head', [words, width], 'bfloat16'));
  const { signatures } = assemble({ run: { graph, outputs: { y }, effects: [] } });
  const textFor = (card?: SplittingCard): string => lowerSignature(required(signatures.run, 'run'), new Map(), { card }).text;

  it('is filled up with rows of zeros for a card that would copy the head, and cut off again', () => {
    const text = textFor(cardCatalog.h100);
    expect(linesWith(text, 'stablehlo.pad')).toMatchObject([expect.stringContaining(`high = [17, 0], interior = [0, 0]`)]);
    expect(productsOf(text.split('\n'))).toMatchObject([expect.stringContaining(`-> tensor<64x${width}xbf16>`)]);
    expect(linesWith(text, 'stablehlo.slice')).toMatchObject([expect.stringContaining(`[0:${rows}, 0:${width}]`)]);
  });

  it('is as any other for another card, and for a processor', () => {
    const text = textFor();
    expect(linesWith(text, 'stablehlo.pad')).toEqual([]);
    expect(textFor({ ...cardCatalog.h100, multiprocessors: 40 })).toBe(text);
  });
});

it('a weight that a card would copy for its product waits for the other factor', () => {
  const graph = new Graph();
  // XLA splits the sum over 2320 features into parts that do not divide it. More rows than two tiles are never filled up.
  const y = graph.matmul(graph.exp(graph.feed('dy', [512, 2320])), graph.read({ name: 'w', shape: [2320, 512], dtype: 'float32' }));
  const { signatures, variables } = assemble({ run: { graph, outputs: { y }, effects: [] } });
  const specs = new Map(variables.map(spec => [spec.name, spec]));
  const addends = (card?: SplittingCard): string[] =>
    linesWith(lowerSignature(required(signatures.run, 'run'), specs, { card }).text, 'stablehlo.add');
  expect(addends(cardCatalog.h100)).toEqual([expect.stringContaining('tensor<2320x512xf32>')]);
  expect(addends()).toEqual([]);
});

describe('a variable in the memory of the host', () => {
  const graph = new Graph();
  const step = graph.assignAdd('m', graph.mul(graph.read({ name: 'm', shape: [2, 3], dtype: 'float32' }), graph.feed('x', [])));
  const { signatures, variables } = assemble({ run: { graph, outputs: {}, effects: [step] } });
  const textAt = (places: ReadonlyMap<string, 'host'>): string =>
    lowerSignature(required(signatures.run, 'run'), new Map(variables.map(spec => [spec.name, spec])), { places }).text;

  it('is an argument and a result there, moves to the device once, and back', () => {
    const text = textAt(new Map([['m', 'host']]));
    const at = 'mhlo.memory_kind = "pinned_host"';
    expect(text).toContain(`%v0: tensor<2x3xf32> {tf.aliasing_output = 0 : i32, ${at}}`);
    expect(text).toContain(`-> (tensor<2x3xf32> {${at}})`);
    const moves = linesWith(text, '@annotate_device_placement');
    expect(moves.map(line => /_xla_buffer_placement = "(\w+)"/.exec(line)?.[1])).toEqual(['device', 'pinned_host']);
  });

  it('is as any other without a place', () => {
    expect(linesWith(textAt(new Map()), 'annotate_device_placement')).toEqual([]);
    expect(textAt(new Map())).not.toContain('memory_kind');
  });
});

describe('attention as one kernel', () => {
  /** Attention of two samples, with four heads that share two key heads, 24 tokens, and the gradients of its inputs. */
  function attended(scores: Partial<AttentionScores>, isPadded = false): string {
    const graph = new Graph();
    const read = (name: string, heads: number): Node => graph.feed(name, [2, heads, 24, 8], 'bfloat16');
    const [q, k, v, dy] = [read('q', 4), read('k', 2), read('v', 2), read('dy', 4)];
    const lengths = isPadded ? graph.feed('lengths', [2], 'int32') : undefined;
    const y = graph.fusedAttention(q, k, v, { scale: 0.5, causal: true, ...scores }, lengths);
    const found = backward(graph, { seeds: [{ node: y, gradient: dy }], wrt: new Map([q, k, v].map(node => [node, {}])), policy: 'none' });
    return textOf(graph, graph.concat([y, ...[q, k, v].map(node => required(found.get(node), 'a gradient'))], 1));
  }

  const configOf = (line: string | undefined) => {
    const text = required(/backend_config = ("(?:[^"\\]|\\.)*")/.exec(line ?? '')?.[1], 'the configuration');
    return z.object({ cudnn_fmha_backend_config: z.record(z.string(), z.unknown()) }).parse(JSON.parse(JSON.parse(text)))
      .cudnn_fmha_backend_config;
  };

  it('is one call of each pass, whatever reads its results', () => {
    const lines = attended({}).split('\n');
    const calls = lines.filter(line => line.includes('custom_call'));
    expect(calls).toEqual([
      expect.stringMatching(/^(%\d+):3 = stablehlo\.custom_call @__cudnn\$fmhaSoftmax\(/),
      expect.stringMatching(/^(%\d+):4 = stablehlo\.custom_call @__cudnn\$fmhaSoftmaxBackward\(/),
    ]);
    const [forward] = calls.map(line => required(line.split(':')[0], 'the results'));
    expect(calls[1]).toContain(`${forward}#0`);
    expect(calls[0]).toContain('-> (tensor<2x4x24x8xbf16>, tensor<2x4x24xf32>, tensor<0xui8>)');
    expect(calls[1]).toContain('-> (tensor<2x4x24x8xbf16>, tensor<2x2x24x8xbf16>, tensor<2x2x24x8xbf16>, tensor<0xui8>)');
  });

  it.each([
    ['CAUSAL', {}, false, 0],
    ['CAUSAL', { window: 7 }, false, 7],
    ['NO_MASK', { causal: false }, false, 0],
    ['PADDING', { causal: false }, true, 0],
    ['PADDING_CAUSAL', {}, true, 0],
  ] as const)('says its mask in both passes: %s %o', (mask, scores, isPadded, window) => {
    const calls = linesWith(attended(scores, isPadded), 'custom_call');
    expect(calls).toHaveLength(2);
    for (const line of calls) {
      expect(configOf(line)).toMatchObject({ mask_type: mask, fmha_scale: 0.5, sliding_window_length: window, dropout_rate: 0 });
      expect(line.match(/tensor<2xi32>/g) ?? []).toHaveLength(isPadded ? 2 : 0);
    }
  });

  it('is refused in 32 bits', () => {
    const graph = new Graph();
    const x = graph.feed('x', [1, 1, 8, 8]);
    expect(() => textOf(graph, graph.fusedAttention(x, x, x, { scale: 1, causal: true }))).toThrow(
      'attention as one kernel is for bfloat16',
    );
  });
});
