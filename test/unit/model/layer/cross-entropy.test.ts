/** Compares the head with its loss with a naive log-softmax, and the gradient in one sweep with the gradient of the loss. */
import { describe, expect, test } from 'vitest';
import { openPortable } from '../../../../trainer/engine/portable/engine.ts';
import { planner } from '../../../../trainer/graph/fusion/plan.ts';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { liveness } from '../../../../trainer/graph/liveness.ts';
import { headLoss, headLossWithGradient, targetChunk } from '../../../../trainer/model/layer/loss/cross-entropy.ts';
import { elementAt, valueFor } from '../../../../trainer/narrow.ts';
import { expectClose } from '../../../support/numbers/closeness.ts';
import { randomNumbers } from '../../../support/numbers/operation-case.ts';
import { signatureOf } from '../../../support/numbers/signature-of.ts';
import { runGraph } from '../../graph/run-graph.ts';

const FEATURES = 3;
const ROWS = 9;

/** Builds a loss with more targets than a chunk of 16 holds for a large vocabulary; one row is used twice, and one weight is 0. */
function build(vocabulary: number, targets: number, biased = false) {
  const graph = new Graph();
  const positions = Int32Array.from({ length: targets }, (_, i) => (i * 5) % ROWS);
  const ids = Int32Array.from({ length: targets }, (_, i) => (i * 7 + 2) % vocabulary);
  const weights = Float32Array.from({ length: targets }, (_, i) => (i === 1 ? 0 : 0.1 + (i % 3) / 10));
  const params = {
    hidden: graph.feed('hidden', [ROWS, FEATURES]),
    weight: graph.read({ name: 'weight', shape: [vocabulary, FEATURES], dtype: 'float32' }),
    targetPositions: graph.constant(positions, [targets], 'int32'),
    targetIds: graph.constant(ids, [targets], 'int32'),
    targetWeights: graph.constant(weights, [targets], 'float32'),
    ...(biased && { bias: graph.read({ name: 'bias', shape: [vocabulary], dtype: 'float32' }) }),
  };
  const hidden = Float32Array.from(randomNumbers(ROWS * FEATURES, -2, 2, 1));
  const weight = Float32Array.from(randomNumbers(vocabulary * FEATURES, -2, 2, 2));
  const bias = Float32Array.from(biased ? randomNumbers(vocabulary, -2, 2, 3) : new Array(vocabulary).fill(0));
  return { graph, params, positions, ids, weights, hidden, variables: { weight, ...(biased && { bias }) }, weight, bias };
}

function naive({ positions, ids, weights, hidden, weight, bias }: ReturnType<typeof build>, vocabulary: number) {
  const rows = Array.from(positions, (position, t) => {
    const h = hidden.slice(position * FEATURES, (position + 1) * FEATURES);
    const logits = Array.from({ length: vocabulary }, (_, v) =>
      h.reduce((sum, x, i) => sum + x * (weight[v * FEATURES + i] as number), bias[v] as number),
    );
    const logSum = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
    const best = logits.reduce((top, z, v) => (z > (logits[top] as number) ? v : top), 0);
    return { nll: logSum - (logits[ids[t] as number] as number), hit: best === ids[t] ? 1 : 0 };
  });
  return {
    nll: rows.map(({ nll }) => nll),
    hits: rows.map(({ hit }) => hit),
    loss: rows.reduce((sum, { nll }, t) => sum + nll * (weights[t] as number), 0),
  };
}

/** The reference takes ten seconds for a few million logits. */
const engine = await openPortable({ backend: 'wasm' });

/** The second size takes two chunks. */
const sizes = [
  { vocabulary: 11, targets: 6, biased: false },
  { vocabulary: 300_000, targets: 24, biased: false },
  { vocabulary: 11, targets: 6, biased: true },
];

test('the sizes below cover one chunk and several', () => {
  expect(targetChunk([11, FEATURES], 6)).toBeGreaterThan(6);
  expect(targetChunk([300_000, FEATURES], 24)).toBeLessThan(24);
});

test.each([
  { model: 'SmolLM2', shape: [49_152, 576], targets: 128 },
  { model: 'Qwen2 0.5B: a chunk fills a product where its logits take an eighth of the weight', shape: [151_936, 896], targets: 112 },
  { model: 'Gemma 3 270M', shape: [262_144, 640], targets: 80 },
  { model: 'Llama 3.2 1B', shape: [128_256, 2048], targets: 128 },
  { model: 'Llama 3 70B: where they take a thirty-second, it takes more', shape: [128_256, 8192], targets: 256 },
])('$model', ({ shape, targets }) => {
  expect(targetChunk(shape, 2048)).toBe(targets);
});

test.each([
  { model: 'Llama 3 8B', shape: [128_256, 4096], all: 2047, targets: 384 },
  { model: 'Llama 3 8B with short texts', shape: [128_256, 4096], all: 510, targets: 384 },
  { model: 'Llama 3.2 1B: its logits take an eighth of the weight', shape: [128_256, 2048], all: 2047, targets: 256 },
  { model: 'SmolLM2: a chunk that is small anyway is not larger', shape: [49_152, 576], all: 510, targets: 128 },
])('$model on a card whose products 384 rows fill', ({ shape, all, targets }) => {
  expect(targetChunk(shape, all, 384)).toBe(targets);
});

test.each([160, 510, 2046])('the head of Gemma 3 with its gradient takes less than a tenth of the logits of %i targets', targets => {
  const shape = [262_144, 640];
  const [vocabulary = 0, features = 0] = shape;
  const graph = new Graph();
  const hidden = graph.feed('hidden', [targets, features]);
  const params = {
    hidden,
    weight: graph.read({ name: 'weight', shape, dtype: 'float32' }),
    targetPositions: graph.feed('targetPositions', [targets], 'int32'),
    targetIds: graph.feed('targetIds', [targets], 'int32'),
    targetWeights: graph.feed('targetWeights', [targets]),
  };
  const { loss, seeds } = headLossWithGradient(graph, params, { weight: 'none' });
  const outputs = { loss, gradHidden: elementAt(seeds, 0).gradient };
  const signature = signatureOf({ graph, outputs, effects: [] });
  const { peakBytes } = liveness(signature, planner()(signature));
  // Hidden states, the rows of the targets and the gradient exist however the logits are computed.
  const states = 4 * 4 * targets * features;
  expect(peakBytes - states).toBeLessThan((4 * targets * vocabulary) / 10);
});

describe.each(sizes)('$vocabulary tokens, $targets targets, with a bias: $biased', ({ vocabulary, targets, biased }) => {
  test('loss, NLL and hits are those of a log-softmax', async () => {
    const made = build(vocabulary, targets, biased);
    const expected = naive(made, vocabulary);
    const swept = headLossWithGradient(made.graph, made.params, { weight: 'none' });
    for (const found of [headLoss(made.graph, made.params), swept]) {
      const outputs = { loss: found.loss, nll: found.nll, hits: found.hits };
      const {
        loss = [],
        nll = [],
        hits,
      } = await runGraph({ graph: made.graph, outputs, effects: [] }, { hidden: made.hidden }, made.variables, engine);
      expectClose(loss, [expected.loss], 1e-5);
      expectClose(nll, expected.nll, 1e-5);
      expect(hits).toEqual(expected.hits);
    }
  });
});

describe.each([
  { name: 'the gradient in one sweep', biased: false },
  { name: 'the gradient of capped logits in one sweep', biased: false, cap: 0.6 },
  { name: 'the gradient of a head with a bias', biased: true },
  { name: 'the gradient of capped logits of a head with a bias', biased: true, cap: 0.6 },
])('$name', ({ biased, cap }) => {
  const [vocabulary, targets] = [13, 8];
  const rows = Int32Array.of(2, 3, 9);
  const names = ['hidden', 'weight', 'bias'];

  async function gradientsOfLoss() {
    const { graph, params, hidden, variables } = build(vocabulary, targets, biased);
    const { loss } = headLoss(graph, { ...params, cap });
    const trained = [params.hidden, params.weight, ...(params.bias ? [params.bias] : [])];
    const wrt = new Map(trained.map(node => [node, {}]));
    const found = backward(graph, { seeds: [{ node: loss, gradient: graph.scalar(1) }], wrt, policy: 'none' });
    const outputs = Object.fromEntries(trained.map((node, i) => [elementAt(names, i), valueFor(found, node)]));
    return runGraph({ graph, outputs, effects: [] }, { hidden }, variables);
  }

  test.each(['none', 'all', 'rows'] as const)('toward the hidden states and %s of the head', async kind => {
    const expected = await gradientsOfLoss();
    const { graph, params, hidden, variables } = build(vocabulary, targets, biased);
    const chosen = kind === 'rows' ? { rows: graph.constant(rows, [3], 'int32') } : kind;
    const { seeds } = headLossWithGradient(graph, { ...params, cap }, { weight: chosen, bias: chosen });
    const ofHead = params.bias ? [params.weight, params.bias] : [params.weight];
    expect(seeds.map(({ node }) => node)).toEqual([params.hidden, ...(kind === 'none' ? [] : ofHead)]);
    const outputs = Object.fromEntries(seeds.map(({ gradient }, i) => [elementAt(names, i), gradient]));
    const found = await runGraph({ graph, outputs, effects: [] }, { hidden }, variables);
    const rowsOf = (all: readonly number[], width: number): readonly number[] =>
      kind === 'rows' ? Array.from(rows).flatMap(row => all.slice(row * width, (row + 1) * width)) : all;
    const wanted: Readonly<Record<string, readonly number[]>> = {
      hidden: expected.hidden ?? [],
      weight: rowsOf(expected.weight ?? [], FEATURES),
      bias: rowsOf(expected.bias ?? [], 1),
    };
    for (const name of Object.keys(outputs)) expectClose(found[name] ?? [], wanted[name] ?? [], 2e-6);
  });
});
