/** The training programs, compiled once and run for every batch. */

import { Graph } from '../graph/graph.ts';
import { assemble, type Program, replicasOf, type Traced } from '../graph/program.ts';
import { Tracer } from '../model/tracer.ts';
import { startTraces } from './base-pass.ts';
import { GradientExchange, type GroupGradient } from './gradient-exchange.ts';
import { clipScale, squaredNorm } from './gradient-sink.ts';
import { declareFeeds, update } from './optimizer.ts';
import { offloadPlaces } from './optimizer-offload.ts';
import { snapshotTraces, wholeParts } from './snapshot.ts';
import { type BatchShape, shapeName } from './task.ts';
import { trainPasses } from './train-passes.ts';
import { accumulates, type TraceParams, type TrainProgramParams } from './training-params.ts';
import { gradientVariable, updateGroups } from './update-group.ts';

type SharedParams = Pick<
  TrainProgramParams,
  'task' | 'attachment' | 'optimizer' | 'maxGradNorm' | 'accumulationSteps' | 'parts' | 'exchangeType'
>;

export const evalSignature = (shape: BatchShape): string => `eval/${shapeName(shape)}`;
/** Signature that applies accumulated gradients. */
export const APPLY = 'apply';

/** Builds signatures for every batch shape, and for saving and restoring the trained values. */
export function trainProgram(params: TrainProgramParams): Program {
  const traces: Record<string, Traced> = {};
  for (const pass of params.trainShapes.flatMap(shape => trainPasses(params, shape))) traces[pass.name] ??= pass.trace(params);
  for (const shape of params.evalShapes) traces[evalSignature(shape)] = traceEval(params, shape);
  const program = assemble({ ...traces, ...params.further, ...sharedTraces(params) }, wholeParts(params.attachment, params.optimizer));
  return { ...program, places: offloadPlaces(params.attachment, params.optimizer) };
}

/** Builds signatures to evaluate a model that is not trained, by itself or with an adapter. */
export const evaluationProgram = (
  of: Pick<TrainProgramParams, 'task' | 'attachment' | 'further' | 'parts'>,
  shapes: readonly BatchShape[],
): Program =>
  assemble({
    ...Object.fromEntries(
      [...new Map(shapes.map(shape => [evalSignature(shape), shape]))].map(([name, shape]) => [name, traceEval(of, shape)]),
    ),
    ...of.further,
  });

/** The signatures that exist once, independent of batch shapes. */
export function sharedTraces(params: SharedParams): Record<string, Traced> {
  const { attachment, optimizer, parts } = params;
  const kept = { ...snapshotTraces(attachment, optimizer, parts), ...startTraces(attachment, parts) };
  return accumulates(params) ? { [APPLY]: traceApply(params), ...kept } : kept;
}

function traceApply({ attachment, optimizer, maxGradNorm, parts, exchangeType }: SharedParams): Traced {
  const graph = new Graph(parts);
  const feeds = declareFeeds(graph);
  const own = updateGroups(attachment.trainables, optimizer).map(group => ({ group, gradient: graph.read(gradientVariable(group)) }));
  const summed = (): typeof own => {
    const exchange = new GradientExchange<GroupGradient>(graph, exchangeType);
    const begun = [...own.map(each => exchange.add(each)), exchange.flush()];
    return begun.flatMap(sum => (sum ? exchange.finish(sum) : []));
  };
  const gradients = graph.parts.count === 1 ? own : summed();
  const norm = graph.sqrt(gradients.map(({ gradient }) => squaredNorm(graph, gradient)).reduce((a, b) => graph.add(a, b)));
  const scale = maxGradNorm > 0 ? clipScale(graph, norm, maxGradNorm) : undefined;
  const effects = gradients.flatMap(({ group, gradient }) => {
    const scaled = scale ? graph.mul(gradient, scale) : gradient;
    const moved = update(graph, { settings: optimizer, group, gradient: scaled, feeds });
    return [...moved, graph.assign(gradientVariable(group).name, graph.zeros(group.shape))];
  });
  return { graph, outputs: { gradNorm: norm }, effects };
}

type EvalParams = Pick<TraceParams, 'task' | 'attachment' | 'parts' | 'fillingRows'>;

/** @param params if they have parts for devices, each device evaluates whole batches of its own */
export function traceEval({ task, attachment: { linearHook, storage }, parts, fillingRows }: EvalParams, shape: BatchShape): Traced {
  const graph = new Graph();
  const outputs = task.evaluation(new Tracer({ graph, linearHook, storage, fillingRows }), shape);
  return { graph, outputs, effects: [], replicas: replicasOf(parts) };
}
