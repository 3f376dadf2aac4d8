/**
 * The contribution of a batch to the score of each row, as graph expressions: from a gradient of the weight, or from the tensors that pass
 * through a module.
 */

import type { Graph, Node } from '../graph/graph.ts';
import { idsWithout } from '../graph/ops/indexing.ts';
import { dimensions, elementCount } from '../graph/types.ts';
import { expertsOf, type ModuleSpec } from '../model/module-specs.ts';
import type { ModuleTap } from '../model/tracer.ts';
import { lastOf } from '../narrow.ts';
import { ImportanceError } from './importance-error.ts';

const rowsOf = (module: ModuleSpec): number => module.weight.shape[0] as number;

/** Sums over all axes but the first: one value per row. */
const sumRow = (graph: Graph, x: Node): Node =>
  graph.sum(
    x,
    x.shape.slice(1).map((_, i) => i + 1),
  );

/** Σ_j |g·w| of each row, [rows]: the first-order change of the loss if single weights are removed (Molchanov et al. 2019). */
export const elementwise = (graph: Graph, weight: Node, gradient: Node): Node => sumRow(graph, graph.abs(graph.mul(gradient, weight)));

/** Σ_j (g·w)² of each row, [rows]. */
export const elementwiseSquared = (graph: Graph, weight: Node, gradient: Node): Node =>
  sumRow(graph, graph.square(graph.mul(gradient, weight)));

/** Σ_j g·w of each row, [rows], for a weight that the loss reads directly without a tap. */
export const signedRow = (graph: Graph, weight: Node, gradient: Node): Node => sumRow(graph, graph.mul(gradient, weight));

/** The output of the rows themselves: y minus the bias. */
function ownPart(graph: Graph, module: ModuleSpec, y: Node, { experts, bias }: Pick<ModuleTap, 'experts' | 'bias'>): Node {
  if (!bias) return y;
  return graph.sub(y, experts ? graph.gather(byExpert(graph, module, bias), experts) : bias);
}

/** [experts · n] → [experts, n]. */
const byExpert = (graph: Graph, module: ModuleSpec, all: Node): Node =>
  graph.reshape(all, [expertsOf(module), elementCount(all.shape) / expertsOf(module)]);

/** Sums over the assignments of each expert, [assignments, n] → [experts · n]. */
function sumByExpert(graph: Graph, module: ModuleSpec, values: Node, ids: Node): Node {
  const count = expertsOf(module);
  return graph.reshape(graph.segmentSum(values, ids, count), [count * (values.shape[1] as number)]);
}

/**
 * w_iᵀ·∇_{w_i} L of each row, signed, [rows], without a weight gradient: for y = x·Wᵀ + b it is Σ_n g_{n,i}·(y_{n,i} − b_i). The same holds
 * for every module that is linear in its row: a convolution (n also runs over positions), the scale of a norm, an embedding.
 * @param y output before anything but the bias is added, [n …, rows]; [n, features] for an embedding
 * @param dy gradient of the loss for y
 */
export function taylorRow(graph: Graph, module: ModuleSpec, tap: Pick<ModuleTap, 'x' | 'experts' | 'bias'>, y: Node, dy: Node): Node {
  const { x, experts } = tap;
  const product = graph.mul(dy, ownPart(graph, module, y, tap));
  if (experts) return sumByExpert(graph, module, product, experts);
  if (module.kind === 'embedding')
    return graph.segmentSum(graph.sum(product, [-1]), idsWithout(graph, x, module.paddingRow), rowsOf(module));
  return graph.sum(
    product,
    product.shape.slice(0, -1).map((_, i) => i),
  );
}

/**
 * The same for each sample, [batch, rows]. Rows that all samples share (`tap.shared`: position tables) belong to no sample and are skipped.
 * @throws ImportanceError if no part of the module is sample by sample
 */
export function taylorSamples(graph: Graph, module: ModuleSpec, tap: ModuleTap, y: Node, dy: Node, batch: number): Node {
  const product = graph.mul(dy, ownPart(graph, module, y, tap));
  const rows = rowsOf(module);
  if (tap.experts) {
    const count = expertsOf(module);
    const ids = ofSamples(graph, tap.experts, batch, count);
    return graph.reshape(graph.segmentSum(product, ids, batch * count), [batch, rows]);
  }
  if (module.kind !== 'embedding') {
    const { x, perSample } = bySample(graph, module, graph.reshape(product, [elementCount(product.shape) / rows, rows]), tap, batch);
    return graph.sum(graph.reshape(x, [batch, perSample, rows]), [1]);
  }
  const { x: sums, perSample } = bySample(graph, module, graph.sum(product, [-1]), tap, batch);
  const own = graph.sliceAxis(tap.x, 0, 0, batch * perSample);
  const ids = ofSamples(graph, own, batch, rows);
  return graph.reshape(graph.segmentSum(sums, idsWithout(graph, ids, module.paddingRow, own), batch * rows), [batch, rows]);
}

/** Offsets the ids of sample b by b · count, so that one segment sum serves all samples. @param ids int32 [n], sample by sample */
function ofSamples(graph: Graph, ids: Node, batch: number, count: number): Node {
  const perSample = elementCount(ids.shape) / batch;
  const offsets = Int32Array.from({ length: batch * perSample }, (_, i) => Math.floor(i / perSample) * count);
  return graph.add(ids, graph.constant(offsets, [offsets.length], 'int32'));
}

/** Removes the rows that belong to no sample. @param x [n, …] */
function bySample(
  graph: Graph,
  module: ModuleSpec,
  x: Node,
  { shared }: Pick<ModuleTap, 'shared'>,
  batch: number,
): { x: Node; perSample: number } {
  const own = (x.shape[0] as number) - shared;
  if (own <= 0 || own % batch !== 0)
    throw new ImportanceError(
      `${module.name} is the same for all samples, so it has no score of a single sample or class; leave it out of target_modules, or use a measure of whole gradients (taylor)`,
    );
  return { x: graph.sliceAxis(x, 0, 0, own), perSample: own / batch };
}

/** Which positions of a batch count: those of samples, not padding. */
export interface Presence {
  readonly batch: number;
  /** Positions per row of `present`. */
  readonly tokens: number;
  /** 1 or 0, [batch, tokens]. */
  readonly present: Node;
}

/** Presence of each position of a module, [batch, perSample]: per token if the module reads tokens, otherwise per sample. */
function presenceOf(graph: Graph, { batch, tokens, present }: Presence, perSample: number): Node {
  if (perSample === tokens) return present;
  // Several rows per token, one for each head.
  if (perSample % tokens === 0)
    return graph.reshape(graph.broadcast(graph.reshape(present, [batch, tokens, 1]), [batch, tokens, perSample / tokens]), [
      batch,
      perSample,
    ]);
  return graph.broadcast(graph.reshape(graph.max(present, [1]), [batch, 1]), [batch, perSample]);
}

/** Σ over positions of squares, [features]. @param values [n …, features] */
function squaredNorms(graph: Graph, module: ModuleSpec, values: Node, tap: ModuleTap, presence: Presence): Node {
  const features = lastOf(values.shape);
  const flat = graph.reshape(values, [elementCount(values.shape) / features, features]);
  const { x, perSample } = bySample(graph, module, flat, tap, presence.batch);
  const weights = graph.reshape(presenceOf(graph, presence, perSample), [1, presence.batch * perSample]);
  return graph.reshape(graph.matmul(weights, graph.square(x)), [features]);
}

/** Σ_n over the positions of each id, [rows]. @param values [n] */
function sumById(graph: Graph, module: ModuleSpec, values: Node, tap: ModuleTap, presence: Presence): Node {
  const { x, perSample } = bySample(graph, module, values, tap, presence.batch);
  const weights = graph.reshape(presenceOf(graph, presence, perSample), [presence.batch * perSample]);
  return graph.segmentSum(graph.mul(x, weights), graph.sliceAxis(tap.x, 0, 0, presence.batch * perSample), rowsOf(module));
}

/**
 * Σ x_j² over positions for each input, [inputs]. For a norm, whose rows have one input (the normalized x): Σ (w·x̂)², [rows]. For an
 * embedding: how often each id occurs, [rows].
 */
export function inputSquares(graph: Graph, module: ModuleSpec, tap: ModuleTap, presence: Presence): Node {
  if (tap.experts) return inputSquaresByExpert(graph, module, tap.x, tap.experts, presence);
  if (module.kind === 'norm') return squaredNorms(graph, module, ownPart(graph, module, tap.y, tap), tap, presence);
  if (module.kind === 'embedding')
    return sumById(graph, module, graph.broadcast(graph.scalar(1), [tap.y.shape[0] as number]), tap, presence);
  return squaredNorms(graph, module, tap.x, tap, presence);
}

/** The same over the positions that each expert computes, [experts · inputs]. */
function inputSquaresByExpert(graph: Graph, module: ModuleSpec, x: Node, ids: Node, presence: Presence): Node {
  const [rows, width] = dimensions(x.shape, 2);
  const count = expertsOf(module);
  const assigned = graph.sum(graph.reshape(graph.oneHot(ids, count), [rows, elementCount(ids.shape) / rows, count]), [1]);
  const counted = graph.mul(assigned, graph.reshape(presenceOf(graph, presence, rows / presence.batch), [rows, 1]));
  return graph.reshape(graph.matmul(counted, graph.square(x), { transposeA: true }), [count * width]);
}

function outputSquaresByExpert(graph: Graph, module: ModuleSpec, y: Node, ids: Node, presence: Presence): Node {
  const count = elementCount(ids.shape);
  const weights = graph.reshape(presenceOf(graph, presence, count / presence.batch), [count, 1]);
  return sumByExpert(graph, module, graph.mul(graph.square(y), weights), ids);
}

/** Σ y_i² over positions for each row, [rows]; for an embedding over the positions of its id, for experts over those that they compute. */
export const outputSquares = (graph: Graph, module: ModuleSpec, tap: ModuleTap, presence: Presence): Node =>
  tap.experts
    ? outputSquaresByExpert(graph, module, tap.y, tap.experts, presence)
    : module.kind === 'embedding'
      ? sumById(graph, module, graph.sum(graph.square(tap.y), [-1]), tap, presence)
      : squaredNorms(graph, module, tap.y, tap, presence);
