/** A model with every kind of layer that has neurons, its samples, and its gradients per sample, with which measures are compared. */

import type { Batch, BatchSource } from '../../../trainer/data/batch/batches.ts';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import type { ImportanceData } from '../../../trainer/importance/score-model.ts';
import type { Model } from '../../../trainer/model/model-spec.ts';
import type { BiasedSpec, ConvSpec, ModuleSpec } from '../../../trainer/model/module-specs.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import type { WeightSource } from '../../../trainer/model/weight-source.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import type { Task } from '../../../trainer/train/task.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { runGraph } from '../graph/run-graph.ts';

const [VOCABULARY, FEATURES, HIDDEN, TOKENS] = [5, 4, 6, 3];

const spec = (name: string, kind: ModuleSpec['kind'], shape: number[]) => ({
  name,
  kind,
  part: 'mlp' as const,
  layer: 0,
  weight: { name: `${name}.weight`, shape },
});
const biased = (module: ModuleSpec): BiasedSpec => ({
  ...module,
  bias: { name: `${module.name}.bias`, shape: module.weight.shape.slice(0, 1) },
});

const embedding = spec('embedding', 'embedding', [VOCABULARY, FEATURES]);
const norm = biased(spec('norm', 'norm', [FEATURES]));
const linear = biased(spec('linear', 'linear', [HIDDEN, FEATURES]));
const conv: ConvSpec = {
  ...biased(spec('conv', 'conv', [4, HIDDEN / 2, 1, 2])),
  kind: 'conv',
  window: { strides: [1, 1], padding: [0, 0, 0, 0], dilations: [1, 1], groups: 2 },
};
export const modules: readonly ModuleSpec[] = [embedding, norm, linear, conv];
const parameters = modules.flatMap(({ weight, bias }) => (bias ? [weight, bias] : [weight]));
const model: Model = { family: 'toy', blocks: 1, hiddenSize: FEATURES, parameters, modules };

export const values: Record<string, Float32Array> = Object.fromEntries(
  parameters.map(({ name, shape }, i) => [
    name,
    Float32Array.from(
      randomNumbers(
        shape.reduce((n, d) => n * d, 1),
        -1,
        1,
        i + 1,
      ),
    ),
  ]),
);
export const weights: WeightSource = {
  tensors: new Map(parameters.map(({ name, shape }) => [name, { shape }])),
  readFloat32: async name => required(values[name], name).slice(),
};
export { model };

export const task: Task = {
  model,
  loss(tracer, { batch }) {
    const { graph } = tracer;
    const ids = graph.reshape(graph.feed('ids', [batch, TOKENS], 'int32'), [batch * TOKENS]);
    const normal = tracer.layerNorm(norm, tracer.embedding(embedding, ids), 1e-5);
    const hidden = graph.reshape(graph.tanh(tracer.linear(linear, normal)), [batch, 1, TOKENS, HIDDEN]);
    const squares = graph.square(graph.sub(graph.tanh(tracer.conv(conv, hidden)), 0.3));
    const loss = graph.sumAll(graph.mul(graph.sum(squares, [1, 2, 3]), graph.feed('weights', [batch])));
    return { loss, seeds: [{ node: loss, gradient: graph.scalar(1) }] };
  },
  evaluation: () => {
    throw new Error('not needed');
  },
};

/** Ids and class of each sample; an incomplete last batch is padded. */
export const samples = [0, 1, 2, 1, 0].map((label, i) => ({
  label,
  ids: Array.from({ length: TOKENS }, (_, t) => (i * 2 + t * (i + 1)) % VOCABULARY),
}));

/** The parts of a scoring that reads data: all samples, in one pass. */
export const dataOn = (engine: ImportanceData['engine'], batchSize: number, change: Partial<ImportanceData>): ImportanceData => ({
  engine,
  task,
  source: source(batchSize),
  recompute: 'none',
  exact: false,
  sweepBytes: 100,
  ...change,
});

export function source(batchSize: number): BatchSource {
  const bucket = { batch: batchSize, tokens: 1, targets: batchSize };
  const rows = samples.map((_, i) => ({ sequences: [i], length: 1, targets: 1 }));
  const count = Math.ceil(samples.length / batchSize);
  const planned = Array.from({ length: count }, (_, b) => ({ bucket, rows: rows.slice(b * batchSize, (b + 1) * batchSize), epoch: 0 }));
  return {
    plan: { rows, buckets: [bucket], batchesPerEpoch: count, paddingShare: 0, epoch: () => planned },
    fill: ({ rows: chosen }): Batch => {
      const sampleIndices = chosen.flatMap(({ sequences }) => sequences);
      const ids = new Int32Array(batchSize * TOKENS);
      for (const [row, sample] of sampleIndices.entries()) ids.set(samples[sample]?.ids ?? [], row * TOKENS);
      const isThere = Float32Array.from({ length: batchSize }, (_, row) => Number(row < sampleIndices.length));
      const feeds = (of: number): Record<string, HostArray> => ({ ids, weights: isThere.map(weight => weight / of) });
      return { bucket, sampleIndices, tokenCount: sampleIndices.length, targetCount: sampleIndices.length, feeds };
    },
  };
}

export interface Passed {
  /** dL/dW of the sample's own loss. */
  readonly gradient: number[];
  readonly x: number[];
  readonly y: number[];
}

/** Passes one sample through the toy: for each module its inputs and outputs, and the gradient of its weight. */
export async function passSample(sample: number): Promise<Map<string, Passed>> {
  const graph = new Graph();
  const tracer = new Tracer({ graph });
  const { seeds } = task.loss(tracer, { batch: 1, tokens: 1, targets: 1 }, () => 'none');
  const read = (module: ModuleSpec): Node => graph.read({ ...module.weight, dtype: 'float32' });
  const found = backward(graph, { seeds, wrt: new Map(modules.map(module => [read(module), {}])), policy: 'none' });
  const outputs: Record<string, Node> = {};
  for (const module of modules) {
    const [tap] = tracer.tapsOf(module);
    if (!tap) throw new Error(module.name);
    outputs[`${module.name} gradient`] = valueFor(found, read(module));
    outputs[`${module.name} x`] = graph.cast(tap.x, 'float32');
    outputs[`${module.name} y`] = tap.y;
  }
  const feeds = { ids: Int32Array.from(samples[sample]?.ids ?? []), weights: Float32Array.of(1) };
  const given = await runGraph({ graph, outputs, effects: [] }, feeds, values);
  const of = (name: string) => required(given[name], name);
  return new Map(modules.map(({ name }) => [name, { gradient: of(`${name} gradient`), x: of(`${name} x`), y: of(`${name} y`) }]));
}
