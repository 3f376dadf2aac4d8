/** Tests recompute levels: the same gradients bit for bit, less memory at each level, and the activations kept. */
import { describe, expect, test } from 'vitest';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { liveness, nodesFlops } from '../../../trainer/graph/liveness.ts';
import type { Signature } from '../../../trainer/graph/program.ts';
import { RECOMPUTE_POLICIES, type RecomputePolicy } from '../../../trainer/graph/recompute.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { attachFirst } from '../../../trainer/plan/run-plan.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { trainProgram } from '../../../trainer/train/train-program.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';
import { settingsOf } from '../../support/models/method-settings.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';
import { adamw } from '../../support/runs/tiny-training.ts';
import { runGraph } from './run-graph.ts';

const peakOf = (signature: Signature): number => liveness(signature, singleSteps(signature)).peakBytes;

const BLOCKS = 8;
const WIDTH = 6;
const ROWS = 48;
const weight = (i: number) => ({ name: `w${i}`, shape: [WIDTH, WIDTH], dtype: 'float32' as const });

/** Eight blocks of x + tanh(norm(x)·Wᵀ). */
function toy(policy: RecomputePolicy) {
  const graph = new Graph();
  let x = graph.feed('x', [ROWS, WIDTH]);
  const weights: Node[] = [];
  for (let i = 0; i < BLOCKS; i++)
    x = graph.checkpointed(x, () => {
      const w = graph.read(weight(i));
      weights.push(w);
      const scale = graph.rsqrt(graph.add(graph.mean(graph.square(x), [-1], true), 1e-3));
      const product = graph.matmul(graph.mul(x, scale), w, { transposeB: true });
      return graph.add(x, graph.mul(graph.tanh(product), graph.sigmoid(product)));
    });
  const forward = graph.nodes.length;
  const gradients = backward(graph, { seeds: [{ node: x, gradient: graph.mul(x, 2) }], wrt: new Map(weights.map(w => [w, {}])), policy });
  const outputs = Object.fromEntries(weights.map((w, i) => [`g${i}`, valueFor(gradients, w)]));
  return { graph, outputs, effects: [], forward };
}

/** Returns the forward nodes that the backward pass reads, by block. */
function kept({ graph, forward }: ReturnType<typeof toy>): Node[] {
  const behind = graph.nodes.slice(forward).filter(node => node.phase === 1);
  const used = new Set(behind.flatMap(node => node.inputs));
  return graph.nodes.slice(0, forward).filter(node => used.has(node) && !['read', 'constant', 'feed'].includes(node.op));
}

describe('a toy of eight blocks', () => {
  const feeds = { x: Float32Array.from(randomNumbers(ROWS * WIDTH, -1, 1, 1)) };
  const variables = Object.fromEntries(
    Array.from({ length: BLOCKS }, (_, i) => [`w${i}`, Float32Array.from(randomNumbers(WIDTH * WIDTH, -0.5, 0.5, i + 2))]),
  );

  test.each(RECOMPUTE_POLICIES)('%s: the same gradients to the bit', async policy => {
    expect(await runGraph(toy(policy), feeds, variables)).toEqual(await runGraph(toy('none'), feeds, variables));
  });

  test('memory falls from none to sqrt', () => {
    const peaks = RECOMPUTE_POLICIES.map(policy => peakOf(signatureOf(toy(policy))));
    expect(peaks).toEqual([...peaks].sort((a, b) => b - a));
    expect(new Set(peaks).size).toBe(RECOMPUTE_POLICIES.length);
  });

  test('none computes nothing again', () => expect(toy('none').graph.nodes.filter(node => node.recomputed)).toEqual([]));

  test('cheap keeps products, block inputs and statistics of a row', () => {
    const found = kept(toy('cheap'));
    expect(found.every(node => node.op === 'matmul' || node.boundary || node.shape.at(-1) === 1)).toBe(true);
    expect(toy('cheap').graph.nodes.filter(node => node.recomputed && node.op === 'matmul')).toEqual([]);
  });

  test('cheap keeps a product of which every second number is a gate, and no slice of it', () => {
    const graph = new Graph();
    const w = graph.read({ name: 'w', shape: [2 * WIDTH, WIDTH], dtype: 'float32' });
    const x = graph.checkpointed(graph.feed('x', [ROWS, WIDTH]), () => {
      const pairs = graph.reshape(graph.matmul(graph.feed('x', [ROWS, WIDTH]), w, { transposeB: true }), [ROWS, WIDTH, 2]);
      const every = (i: number): Node => graph.slice(pairs, [0, 0, i], [ROWS, WIDTH, 1]);
      return graph.reshape(graph.mul(graph.sigmoid(every(0)), every(1)), [ROWS, WIDTH]);
    });
    const forward = graph.nodes.length;
    backward(graph, { seeds: [{ node: x, gradient: graph.mul(x, 2) }], wrt: new Map([[w, {}]]), policy: 'cheap' });
    const found = kept({ graph, outputs: {}, effects: [], forward });
    expect(found.filter(node => node.op === 'slice')).toEqual([]);
    expect(found.some(node => node.op === 'matmul' || node.op === 'reshape')).toBe(true);
  });

  test('block keeps the input of each block', () => {
    const run = toy('block');
    const boundaries = new Set(run.graph.boundaries);
    expect(kept(run).filter(node => !boundaries.has(node) && node.block >= 0 && node.block < BLOCKS - 1)).toEqual([]);
  });

  test('sqrt keeps the input of every third of eight blocks', () => {
    const run = toy('sqrt');
    const used = kept(run).filter(node => node.boundary);
    expect(used.map(node => run.graph.boundaries.indexOf(node))).toEqual([3, 6]);
  });
});

describe('a llama of eight blocks', () => {
  const model = causalModel(eightBlocks);
  const shape = { batch: 2, tokens: 32, targets: 62 };
  const settings = settingsOf({ budget: { r: 2 }, rank: 2, loraAlpha: 16, loraDropout: 0.1 });

  test.each(['spsft', 'lora', 'full'] as const)('%s: memory falls and work grows from none to sqrt', method => {
    const signatures = RECOMPUTE_POLICIES.map(recompute => {
      const program = trainProgram({
        task: causalTask(model),
        attachment: attachFirst(model, method, settings),
        optimizer: adamw,
        maxGradNorm: 0,
        accumulationSteps: 1,
        recompute,
        trainShapes: [shape],
        evalShapes: [],
      });
      return required(program.signatures[trainSignature(shape)], 'the training');
    });
    const peaks = signatures.map(signature => peakOf(signature));
    const flops = signatures.map(({ schedule }) => nodesFlops(schedule));
    expect(peaks).toEqual([...peaks].sort((a, b) => b - a));
    expect(flops).toEqual([...flops].sort((a, b) => a - b));
    expect(peaks.at(-1)).toBeLessThan(0.4 * (peaks[0] as number));
  });
});
