/**
 * The signatures that train on a batch: a single one or, if the loss is computed from cached outputs, those of a mini-batch and that of the
 * loss.
 */
import { backward } from '../graph/gradient.ts';
import { Graph, type Node } from '../graph/graph.ts';
import type { Traced } from '../graph/program.ts';
import type { Trainable } from '../method/method.ts';
import type { ParameterSpec } from '../model/module-specs.ts';
import { Tracer } from '../model/tracer.ts';
import { required, valueFor } from '../narrow.ts';
import { baseSignature, traceBase } from './base-pass.ts';
import { GradientSink } from './gradient-sink.ts';
import { type BatchShape, type CachedLoss, type GradientRequest, shapeName, type Task } from './task.ts';
import { gradientRequest, trainedGradient } from './trained-part.ts';
import type { TraceParams } from './training-params.ts';

export const trainSignature = (shape: BatchShape): string => `train/${shapeName(shape)}`;
/** Computes the outputs of a mini-batch. */
export const forwardSignature = (shape: BatchShape): string => `forward/${shapeName(shape)}`;
/** Computes the loss of a batch and its gradient, from the outputs of all rows. */
export const lossSignature = ({ batch }: BatchShape): string => `loss/${batch}`;

type PassesOf = Pick<TraceParams, 'task' | 'attachment'>;

/** One of the signatures that train on a batch of some shape. */
export interface TrainPass {
  readonly name: string;
  /** Runs per batch. */
  readonly times: number;
  readonly trace: (params: TraceParams) => Traced;
}

/** The signatures for a batch of this shape, in the order in which they run. */
export function trainPasses({ task: { cached }, attachment: { starts } }: PassesOf, shape: BatchShape): TrainPass[] {
  const base = starts ? [{ name: baseSignature(shape), times: 1, trace: (params: TraceParams) => traceBase(params, shape) }] : [];
  if (!cached) return [...base, { name: trainSignature(shape), times: 1, trace: params => traceTrain(params, shape) }];
  const counts = new Map<string, { readonly shape: BatchShape; times: number }>();
  for (const { shape: part } of miniBatches(cached, shape)) {
    const known = counts.get(shapeName(part));
    if (known) known.times++;
    else counts.set(shapeName(part), { shape: part, times: 1 });
  }
  const parts = [...counts.values()];
  return [
    ...base,
    ...parts.map(({ shape: part, times }) => ({ name: forwardSignature(part), times, trace: of(traceForward, part) })),
    { name: lossSignature(shape), times: 1, trace: of(traceLoss, shape) },
    ...parts.map(({ shape: part, times }) => ({ name: trainSignature(part), times, trace: of(traceBackward, part) })),
  ];
}

/** Some neighboring rows of a batch. */
export interface MiniBatch {
  /** Index of its first row. */
  readonly start: number;
  readonly shape: BatchShape;
}

export function miniBatches({ rows }: Pick<CachedLoss, 'rows'>, { batch, tokens }: BatchShape): MiniBatch[] {
  return Array.from({ length: Math.ceil(batch / rows) }, (_, i) => {
    const count = Math.min(rows, batch - i * rows);
    return { start: i * rows, shape: { batch: count, tokens, targets: count } };
  });
}

type CachedTrace = (params: TraceParams, cached: CachedLoss, shape: BatchShape) => Traced;

const of =
  (trace: CachedTrace, shape: BatchShape): TrainPass['trace'] =>
  params =>
    trace(params, required(params.task.cached, 'the cached loss of the task'), shape);

/** Traces the forward pass with training's dropout: a mini-batch gets the same seed in both passes. */
const traceForward: CachedTrace = (params, cached, shape) => {
  const graph = new Graph();
  return { graph, outputs: { outputs: cached.outputs(trainTracer(graph, params), shape) }, effects: [] };
};

/**
 * Traces the only pass that exchanges vectors: each process has the outputs of its own rows, and gets their gradient from the losses of all
 * processes.
 */
const traceLoss: CachedTrace = ({ parts }, cached, { batch }) => {
  const graph = new Graph(parts);
  const outputs = graph.feed('outputs', [batch, cached.width]);
  const loss = cached.loss(graph, outputs);
  const seeds = [{ node: loss, gradient: graph.scalar(1) }];
  const gradient = backward(graph, { seeds, wrt: new Map([[outputs, {}]]), policy: 'none' }).get(outputs);
  return { graph, outputs: { loss, gradient: required(gradient, 'the gradient of the outputs') }, effects: [] };
};

/**
 * Traces the backward pass, which starts with the gradient of the outputs, a feed. It is traced as for a single process: here a mini-batch
 * is not part of a larger one, and each has its own seed, whichever process computes it.
 */
const traceBackward: CachedTrace = (params, cached, shape) => {
  const loss: Task['loss'] = tracer => {
    const { graph } = tracer;
    const node = cached.outputs(tracer, shape);
    const gradient = graph.feed('gradient', node.shape);
    return { loss: graph.sumAll(graph.mul(node, gradient)), seeds: [{ node, gradient }] };
  };
  return traceTrain({ ...params, parts: undefined, task: { ...params.task, loss } }, shape);
};

/** Traces one update, or one batch's share of it. */
export function traceTrain(params: TraceParams, shape: BatchShape): Traced {
  const { task, attachment } = params;
  const graph = new Graph(params.parts);
  const tracer = trainTracer(graph, params);
  const targets = new Map<Node, Trainable>();
  const rowsOf = (trainable: Trainable) => trainable.rows && graph.read(trainable.rows.variable);
  const requestFor = (parameter: ParameterSpec): GradientRequest => {
    const trained = attachment.trainables.find(({ variable }) => variable.name === parameter.name);
    const rows = trained && rowsOf(trained);
    return trained ? (rows ? { rows } : 'all') : 'none';
  };
  const { loss, seeds, outputs: measured } = task.loss(tracer, shape, requestFor, params.labelSmoothing);
  for (const trainable of attachment.trainables) targets.set(graph.read(trainable.variable), trainable);
  const apply = new GradientSink(graph, params);
  backward(graph, {
    seeds,
    wrt: new Map([...targets].map(([node, trainable]) => [node, gradientRequest(graph, trainable)])),
    policy: params.recompute,
    groupBlocks: params.groupBlocks,
    onReady: (node, gradient) => {
      const trainable = valueFor(targets, node);
      apply.take(trainable, trainedGradient(graph, trainable, gradient), node.block);
    },
  });
  const { effects, outputs } = apply.finish();
  const followed = [...tracer.updates].map(([buffer, value]) => graph.assign(buffer.name, value));
  return { graph, outputs: { loss, ...measured, ...outputs }, effects: [...effects, ...followed] };
}

function trainTracer(graph: Graph, { attachment, fillingRows }: Pick<TraceParams, 'attachment' | 'fillingRows'>): Tracer {
  const { linearHook, buffers, storage, trainables } = attachment;
  return new Tracer({
    graph,
    linearHook,
    seed: graph.feed('seed', [2], 'int32'),
    batchNorm: buffers ? 'updated' : 'frozen',
    storage,
    trainedColumns: new Map(trainables.flatMap(({ variable, columns }) => (columns ? [[variable.name, columns.variable]] : []))),
    fillingRows,
  });
}
