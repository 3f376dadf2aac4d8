/** Compares each layer with a naive one in double precision, and its gradient with finite differences of the naive one. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Graph, Node } from '../../../trainer/graph/graph.ts';
import { activations, swiglu } from '../../../trainer/model/layer/activation.ts';
import { type AttentionMask, attention, HIDDEN } from '../../../trainer/model/layer/attention/attention.ts';
import { batchNorm, frozenBatchNorm } from '../../../trainer/model/layer/batch-norm.ts';
import { layerNorm, rmsNorm } from '../../../trainer/model/layer/norm.ts';
import {
  type Positions,
  type RopeScaling,
  ropeFrequencies,
  ropeFrequenciesAt,
} from '../../../trainer/model/layer/positions/rope-scaling.ts';
import { rotaryTables, rotaryTablesAt, rotate } from '../../../trainer/model/layer/positions/rotary.ts';
import { required } from '../../../trainer/narrow.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { erf } from '../../support/numbers/naive.ts';
import { type BuildLayer, forward, gradients, type Inputs, inputsOf, numericGradients } from './layer/run-layer.ts';

type Numbers = Readonly<Record<string, number[]>>;
type Naive = (inputs: Numbers) => number[];
const numbersOf = (inputs: Inputs): Numbers =>
  Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Array.from(data)]));
const part = (values: readonly number[] | undefined, index: number, width: number): number[] =>
  (values ?? []).slice(index * width, (index + 1) * width);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);

async function compare(inputs: Inputs, build: BuildLayer, naive: Naive): Promise<void> {
  expectClose(await forward(inputs, build), naive(numbersOf(inputs)), 2e-6, 'forward');
  const [ours, theirs] = [await gradients(inputs, build), numericGradients(inputs, naive)];
  for (const name of Object.keys(inputs)) expectClose(ours[name] ?? [], theirs[name] ?? [], 2e-5, `gradient of ${name}`);
}

describe('normalization', () => {
  const shapes = { x: [3, 6], scale: [6], shift: [6] };
  const epsilon = 1e-3;

  test('rmsNorm', () =>
    compare(
      inputsOf({ x: shapes.x, scale: shapes.scale }),
      (graph, { x, scale }) => rmsNorm(graph, { x, scale, epsilon }),
      ({ x, scale = [] }) =>
        range(3).flatMap(row => {
          const values = part(x, row, 6);
          const size = Math.sqrt(mean(values.map(v => v * v)) + epsilon);
          return values.map((v, i) => (v / size) * (scale[i] as number));
        }),
    ));

  test('layerNorm', () =>
    compare(
      inputsOf(shapes),
      (graph, { x, scale, shift }) => layerNorm(graph, { x, scale, shift, epsilon }),
      ({ x, scale = [], shift = [] }) =>
        range(3).flatMap(row => {
          const values = part(x, row, 6);
          const centered = values.map(v => v - mean(values));
          const size = Math.sqrt(mean(centered.map(v => v * v)) + epsilon);
          return centered.map((v, i) => (v / size) * (scale[i] as number) + (shift[i] as number));
        }),
    ));
});

describe('batch normalization', () => {
  const [PLACES, CHANNELS] = [2 * 2 * 3, 4] as const;
  const shapes = { x: [2, 2, 3, CHANNELS], scale: [CHANNELS], shift: [CHANNELS] };
  const epsilon = 1e-3;
  const running = { mean: [0.3, -0.2, 0, 1], variance: [0.5, 1, 2, 0.1] };
  const constant = (graph: Graph, values: readonly number[]) => graph.constant(Float32Array.from(values), [values.length], 'float32');
  const channel = (x: readonly number[], c: number): number[] => range(PLACES).map(place => x[place * CHANNELS + c] as number);
  const variance = (values: readonly number[]): number => mean(values.map(v => (v - mean(values)) ** 2));
  const naive =
    (statistics: (x: readonly number[], c: number) => { mean: number; variance: number }): Naive =>
    ({ x = [], scale = [], shift = [] }) =>
      x.map((value, at) => {
        const c = at % CHANNELS;
        const found = statistics(x, c);
        return ((value - found.mean) / Math.sqrt(found.variance + epsilon)) * (scale[c] as number) + (shift[c] as number);
      });

  test('by running statistics', () =>
    compare(
      inputsOf(shapes),
      (graph, { x, scale, shift }) =>
        frozenBatchNorm(graph, {
          ...{ x, scale, shift, epsilon },
          ...{ mean: constant(graph, running.mean), variance: constant(graph, running.variance) },
        }),
      naive((_, c) => ({ mean: running.mean[c] as number, variance: running.variance[c] as number })),
    ));

  test('by the statistics of the batch', () =>
    compare(
      inputsOf(shapes),
      (graph, { x, scale, shift }) => batchNorm(graph, { x, scale, shift, epsilon }).y,
      naive((x, c) => ({ mean: mean(channel(x, c)), variance: variance(channel(x, c)) })),
    ));

  test('running statistics follow the mean and the unbiased variance', async () => {
    const inputs = inputsOf({ x: shapes.x });
    const x = Array.from(inputs.x?.data ?? []);
    const found = (which: 'mean' | 'variance') =>
      forward(inputs, (graph, { x: input }) => {
        const [scale, shift] = [constant(graph, [1, 1, 1, 1]), constant(graph, [0, 0, 0, 0])];
        return batchNorm(graph, { x: input, scale, shift, epsilon })[which];
      });
    const wanted = range(CHANNELS).map(c => channel(x, c));
    expectClose(await found('mean'), wanted.map(mean), 2e-6, 'mean');
    expectClose(
      await found('variance'),
      wanted.map(values => (variance(values) * PLACES) / (PLACES - 1)),
      2e-6,
      'variance',
    );
  });
});

describe('activations', () => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  const gelu = (x: number): number => 0.5 * x * (1 + erf(x / Math.SQRT2));
  const naive: Readonly<Record<string, (x: number) => number>> = {
    silu: x => x * sigmoid(x),
    swish: x => x * sigmoid(x),
    gelu,
    gelu_new: geluTanh,
    gelu_pytorch_tanh: geluTanh,
    gelu_fast: geluTanh,
    gelu_accurate: geluTanh,
    gelu_python_tanh: geluTanh,
    gelu_python: gelu,
    quick_gelu: x => x * sigmoid(1.702 * x),
    relu: x => Math.max(0, x),
    relu2: x => Math.max(0, x) ** 2,
    tanh: Math.tanh,
  };
  test('all are here', () => expect(Object.keys(naive)).toEqual(Object.keys(activations)));
  test.each(Object.entries(naive))('%s', (name, formula) =>
    compare(
      inputsOf({ x: [4, 5] }),
      (graph, { x }) => required(activations[name], name)(graph, x),
      ({ x = [] }) => x.map(formula),
    ),
  );
  test('swiglu', () =>
    compare(
      inputsOf({ gate: [3, 4], up: [3, 4] }),
      (graph, { gate, up }) => swiglu(graph, gate, up),
      ({ gate = [], up = [] }) => gate.map((g, i) => g * sigmoid(g) * (up[i] as number)),
    ));
});

describe('rotary', () => {
  const frequencies = ropeFrequencies(6, 100, { type: 'default' });
  const turned = (positions: (row: number, token: number) => number): Naive => {
    return ({ x = [] }) =>
      range(2 * 3 * 4).flatMap(at => {
        const values = part(x, at, 6);
        const position = positions(Math.floor(at / 12), at % 4);
        return values.map((v, i) => {
          const angle = position * (frequencies[i % 3] as number);
          const other = i < 3 ? -(values[i + 3] as number) : (values[i - 3] as number);
          return v * Math.cos(angle) + other * Math.sin(angle);
        });
      });
  };

  test('positions from 0', () =>
    compare(
      inputsOf({ x: [2, 3, 4, 6] }),
      (graph, { x }) => rotate(graph, x, rotaryTables(graph, frequencies, 4)),
      turned((_, token) => token),
    ));

  test('positions of each row', () => {
    const positions = Int32Array.of(0, 1, 0, 1, 5, 6, 7, 8);
    return compare(
      inputsOf({ x: [2, 3, 4, 6] }),
      (graph, { x }) =>
        rotate(
          graph,
          x,
          rotaryTablesAt(
            graph,
            graph.constant(Float32Array.from(frequencies), [1, 3], 'float32'),
            graph.constant(positions, [2, 4], 'int32'),
          ),
        ),
      turned((row, token) => positions[row * 4 + token] as number),
    );
  });

  test('of a part of the features, and multiplied by a factor', () =>
    compare(
      inputsOf({ x: [2, 3, 4, 9] }),
      (graph, { x }) => rotate(graph, x, rotaryTables(graph, frequencies, 4, 1.5)),
      ({ x = [] }) =>
        range(2 * 3 * 4).flatMap(at => {
          const [head, rest] = [part(x, at, 9).slice(0, 6), part(x, at, 9).slice(6)];
          const angle = (i: number) => (at % 4) * (frequencies[i % 3] as number);
          const other = (i: number) => (i < 3 ? -(head[i + 3] as number) : (head[i - 3] as number));
          return [...head.map((v, i) => 1.5 * (v * Math.cos(angle(i)) + other(i) * Math.sin(angle(i)))), ...rest];
        }),
    ));

  const scalings: readonly RopeScaling[] = [
    { type: 'default' },
    { type: 'longrope', shortFactors: [1, 1.1, 1.3], longFactors: [1, 2, 5], originalMaxPositions: 10 },
    { type: 'dynamic', factor: 3, originalMaxPositions: 10 },
  ];
  test.each(scalings)('frequencies of a text whose length is known at run time: $type', async scaling => {
    const own: Positions = { theta: 100, scaling, features: 6, factor: 1 };
    for (const length of [9, 10, 11, 30])
      await compare(
        inputsOf({ x: [1, 3] }),
        (graph, { x }) =>
          graph.add(
            graph.mul(x, 0),
            ropeFrequenciesAt(graph, own, () => graph.constant(Float32Array.of(length), [1, 1], 'float32')),
          ),
        () => [...ropeFrequencies(6, 100, scaling, length)],
      );
  });

  test("scalings are Transformers'", async () => {
    const scaled = z.object({ factor: z.number(), frequencies: z.array(z.number()) });
    const stretched = scaled.extend({ original_max_position_embeddings: z.number() });
    const table = readGoldenJson(
      'rope_frequencies.json',
      z.object({
        head_dim: z.number(),
        theta: z.number(),
        linear: scaled,
        llama3: stretched.extend({ low_freq_factor: z.number(), high_freq_factor: z.number() }),
        yarn: stretched.extend({ beta_fast: z.number(), beta_slow: z.number() }),
      }),
    );
    const { llama3, linear, yarn } = table;
    const close = (found: Float64Array, wanted: readonly number[]) => {
      expect(found.length).toBe(wanted.length);
      found.forEach((f, i) => {
        expect(f / (wanted[i] as number)).toBeCloseTo(1, 5);
      });
    };
    close(ropeFrequencies(table.head_dim, table.theta, { type: 'linear', factor: linear.factor }), linear.frequencies);
    close(
      ropeFrequencies(table.head_dim, table.theta, {
        type: 'llama3',
        factor: llama3.factor,
        lowFreqFactor: llama3.low_freq_factor,
        highFreqFactor: llama3.high_freq_factor,
        originalMaxPositions: llama3.original_max_position_embeddings,
      }),
      llama3.frequencies,
    );
    const betas = { betaFast: yarn.beta_fast, betaSlow: yarn.beta_slow, truncate: true };
    const original = yarn.original_max_position_embeddings;
    const scaling: RopeScaling = { type: 'yarn', factor: yarn.factor, ...betas, originalMaxPositions: original };
    close(ropeFrequencies(table.head_dim, table.theta, scaling), yarn.frequencies);
  });
});

describe('attention', () => {
  const [BATCH, HEADS, KV, TOKENS, DIM] = [2, 4, 2, 5, 3] as const;
  const scale = 0.6;
  const inputs = inputsOf({ q: [BATCH, HEADS, TOKENS, DIM], k: [BATCH, KV, TOKENS, DIM], v: [BATCH, KV, TOKENS, DIM] });
  /** Row 1 contains two samples, of two and three tokens. */
  const apart = (batch: number, i: number, j: number) => batch === 0 || i < 2 === j < 2;
  const bias = Float32Array.from({ length: BATCH * TOKENS * TOKENS }, (_, at) =>
    apart(Math.floor(at / 25), Math.floor((at % 25) / 5), at % 5) ? 0 : HIDDEN,
  );
  const window = Float32Array.from({ length: TOKENS * TOKENS }, (_, at) => (Math.floor(at / 5) - (at % 5) < 2 ? 0 : HIDDEN));
  const masks: Readonly<
    Record<
      string,
      {
        seen: (batch: number, i: number, j: number) => boolean;
        mask: (constant: (data: Float32Array, batch: number) => Node) => AttentionMask;
      }
    >
  > = {
    all: { seen: () => true, mask: () => ({ kind: 'all' }) },
    causal: { seen: (_, i, j) => j <= i, mask: () => ({ kind: 'causal' }) },
    'bias, causal': {
      seen: (batch, i, j) => j <= i && apart(batch, i, j),
      mask: constant => ({ kind: 'bias', bias: constant(bias, BATCH), causal: true }),
    },
    'bias alone': { seen: apart, mask: constant => ({ kind: 'bias', bias: constant(bias, BATCH), causal: false }) },
    'a window of two keys': {
      seen: (_, i, j) => j <= i && i - j < 2,
      mask: constant => ({ kind: 'bias', bias: constant(window, 1), causal: true }),
    },
  };
  const naive =
    (seen: (batch: number, i: number, j: number) => boolean): Naive =>
    ({ q, k, v }) =>
      range(BATCH * HEADS * TOKENS).flatMap(at => {
        const [batch, head, i] = [Math.floor(at / (HEADS * TOKENS)), Math.floor(at / TOKENS) % HEADS, at % TOKENS];
        const keyRow = (j: number) => (batch * KV + Math.floor(head / (HEADS / KV))) * TOKENS + j;
        const weights = range(TOKENS).map(j => (seen(batch, i, j) ? Math.exp(scale * dot(part(q, at, DIM), part(k, keyRow(j), DIM))) : 0));
        const total = weights.reduce((sum, w) => sum + w, 0);
        return range(DIM).map(d => weights.reduce((sum, w, j) => sum + (w / total) * (part(v, keyRow(j), DIM)[d] as number), 0));
      });

  for (const [name, { seen, mask }] of Object.entries(masks))
    test.each([1, 2, 3, 5])(`${name}, %i queries a chunk`, chunk =>
      compare(
        inputs,
        (graph, { q, k, v }) =>
          attention(graph, {
            q,
            k,
            v,
            scale,
            mask: mask((data, batch) => graph.constant(data, [batch, TOKENS, TOKENS], 'float32')),
            chunk,
          }),
        naive(seen),
      ),
    );

  test.each([2, 5])('scores of positions and dropped probabilities, %i queries a chunk', chunk => {
    const drops = range(BATCH * HEADS * TOKENS * TOKENS).map(at => (at % 3 === 0 ? 0 : 1.5));
    return compare(
      { ...inputs, ...inputsOf({ own: [BATCH, HEADS, TOKENS, TOKENS] }) },
      (graph, { q, k, v, own }) => {
        let begin = 0;
        // Each chunk requests the mask of its own queries.
        const dropMask = (shape: readonly number[]) => {
          const size = (shape[2] as number) / (HEADS / KV);
          const all = graph.constant(Float32Array.from(drops), [BATCH, HEADS, TOKENS, TOKENS], 'float32');
          const part = graph.slice(all, [0, 0, begin, 0], [BATCH, HEADS, size, TOKENS]);
          begin += size;
          return graph.reshape(part, shape);
        };
        const params = { q, k, v, scale, mask: { kind: 'all' } as const, chunk };
        return attention(graph, { ...params, scores: own, dropMask });
      },
      ({ q, k, v, own = [] }) =>
        range(BATCH * HEADS * TOKENS).flatMap(at => {
          const [batch, head] = [Math.floor(at / (HEADS * TOKENS)), Math.floor(at / TOKENS) % HEADS];
          const keyRow = (j: number) => (batch * KV + Math.floor(head / (HEADS / KV))) * TOKENS + j;
          const weights = range(TOKENS).map(j =>
            Math.exp(scale * dot(part(q, at, DIM), part(k, keyRow(j), DIM)) + (own[at * TOKENS + j] as number)),
          );
          const total = weights.reduce((sum, w) => sum + w, 0);
          const kept = weights.map((w, j) => (w / total) * (drops[at * TOKENS + j] as number));
          return range(DIM).map(d => kept.reduce((sum, w, j) => sum + w * (part(v, keyRow(j), DIM)[d] as number), 0));
        }),
    );
  });
});
