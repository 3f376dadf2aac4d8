/**
 * The signatures that let training read the base before a batch: the forward pass without the method, and those that restore the initial
 * values inside the model's own weights.
 */
import { type ComputedParts, Graph, type Node } from '../graph/graph.ts';
import type { Traced } from '../graph/program.ts';
import type { Attachment, StartCopy } from '../method/method.ts';
import { Tracer } from '../model/tracer.ts';
import { required } from '../narrow.ts';
import { type BatchShape, shapeName } from './task.ts';
import { readTrained, writeTrained } from './trained-part.ts';
import type { TraceParams } from './training-params.ts';

/** Computes `nll` of each target under the base, while the initial values are in place. */
export const baseSignature = (shape: BatchShape): string => `base/${shapeName(shape)}`;
/** Copies the initial values, which are in place. */
export const KEEP_START = 'start/keep';
/** Swaps the values in place with the copies. */
export const SWAP_START = 'start/swap';

type BaseParams = Pick<TraceParams, 'task' | 'attachment' | 'parts' | 'fillingRows'>;

export function traceBase({ task, attachment: { storage }, parts, fillingRows }: BaseParams, shape: BatchShape): Traced {
  // Each process reads the base for its own batches; devices read it together.
  const graph = new Graph(parts?.own === 'each' ? parts : undefined);
  const { nll } = task.evaluation(new Tracer({ graph, storage, fillingRows }), shape);
  return { graph, outputs: { nll: required(nll, 'the losses of targets') }, effects: [], readsBase: true };
}

/** Traces these signatures; there are none if training does not read the base or changes none of the model's own weights. */
export function startTraces({ starts = [] }: Attachment, parts: ComputedParts | undefined): Record<string, Traced> {
  if (starts.length === 0) return {};
  return { [KEEP_START]: traceEach(starts, keep, parts), [SWAP_START]: traceEach(starts, swap, parts) };
}

function traceEach(
  starts: readonly StartCopy[],
  effectsOf: (graph: Graph, start: StartCopy) => Node[],
  parts: ComputedParts | undefined,
): Traced {
  const graph = new Graph(parts);
  return { graph, effects: starts.flatMap(start => effectsOf(graph, start)), outputs: { done: graph.scalar(1) } };
}

const keep = (graph: Graph, start: StartCopy): Node[] => [writeCopy(graph, start, readInPlace(graph, start))];

function swap(graph: Graph, start: StartCopy): Node[] {
  const { trainable, copy } = start;
  const own = readInPlace(graph, start);
  const kept = graph.reshape(graph.read(copy), trainable.shape);
  return [writeTrained(graph, inPlace(start), kept), writeCopy(graph, start, own)];
}

/** Removes the trainable's master: the weight holds its rounded values. */
const inPlace = ({ trainable: { master: _, ...trainable } }: StartCopy): StartCopy['trainable'] => trainable;

const firstRow = (graph: Graph): Node => graph.constant(Int32Array.of(0), [1], 'int32');

/** Reads the values in place into a new buffer, [1, …shape]. */
function readInPlace(graph: Graph, start: StartCopy): Node {
  const { shape } = start.copy;
  return graph.gather(graph.reshape(readTrained(graph, inPlace(start)), shape), firstRow(graph));
}

function writeCopy(graph: Graph, { copy }: StartCopy, value: Node): Node {
  graph.declare(copy);
  return graph.updateRows(copy.name, firstRow(graph), value);
}
