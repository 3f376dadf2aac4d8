/** Traces the forward pass of a classifier or an embedder in several sizes; the traces have the same steps and differ only in numbers. */
import { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node-store.ts';
import { assemble, type Program, type Signature } from '../../graph/program.ts';
import { type ClassifierShape, declareClassifierBatch } from '../../model/classifier-batch.ts';
import { vectorsOf } from '../../model/embedder.ts';
import { tokensOf } from '../../model/family/text/text-encoder.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { Tracer } from '../../model/tracer.ts';
import { required, valueFor } from '../../narrow.ts';
import { ExportError } from '../export-error.ts';
import type { SampleGrid } from './size.ts';

/** The outputs as Optimum and sentence-transformers name them. */
const LOGITS_OUTPUT = 'logits';
const STATES_OUTPUT = 'last_hidden_state';
const VECTORS_OUTPUT = 'sentence_embedding';

export const PASS = 'forward';

/**
 * The forward pass as a program of one signature, without loss and dropout.
 * @param longest length of the longest text, if the steps must not depend on length: see `Tracer.longest`
 */
export function forwardProgram(model: ClassifierModel, shape: ClassifierShape, longest?: number): Program {
  const graph = new Graph();
  const tracer = new Tracer({ graph, ...(longest !== undefined && { longest }) });
  const outputs = outputsOf(model, tracer, shape);
  return assemble({ [PASS]: { graph, outputs, effects: [] } });
}

const trace = (model: ClassifierModel, shape: ClassifierShape, longest: number): Signature =>
  valueFor(new Map(Object.entries(forwardProgram(model, shape, longest).signatures)), PASS);

function outputsOf(model: ClassifierModel, tracer: Tracer, shape: ClassifierShape): Record<string, Node> {
  const { graph } = tracer;
  const { batch, tokens } = shape;
  const inputs = declareClassifierBatch(graph, model.input, shape);
  if (model.pooling && model.encoder) {
    const states = model.encoder.states(tracer, inputs);
    const vectors = vectorsOf(tracer, states, { batch: tokensOf(inputs), pooling: model.pooling });
    return { [STATES_OUTPUT]: graph.reshape(states, [batch, tokens, model.hiddenSize]), [VECTORS_OUTPUT]: vectors };
  }
  const logits = model.logits(tracer, inputs);
  const isByToken = model.problem === 'token_label';
  return { [LOGITS_OUTPUT]: isByToken ? graph.reshape(logits, [batch, tokens, model.labels.length]) : logits };
}

/** Batch sizes: primes that are unlikely to coincide with a size in a model's shapes. */
const BATCHES = [7, 11];
const LAST_BATCH = 13;
/** Number of sampled lengths: sizes are at most quadratic in the length. */
const LENGTHS = 3;
const SHORTEST_BOUND = 8;

export interface Traces {
  readonly grid: SampleGrid;
  /** The traces, in grid order. */
  readonly samples: readonly Signature[];
  /** The trace of the longest text with a batch size outside of the grid; used to check the fitted sizes. */
  readonly last: Signature & { readonly of: ClassifierShape };
}

/** @throws ExportError for a model whose steps depend on the sizes of its input */
export function traceSizes(model: ClassifierModel): Traces {
  const { input } = model;
  const longest = input.kind === 'tokens' ? input.maxPositions : 0;
  if (input.kind === 'tokens' && longest < SHORTEST_BOUND)
    throw new ExportError(`a model for texts of at most ${longest} tokens is not written to ONNX: export it as merged`);
  const lengths = input.kind === 'tokens' ? Array.from({ length: LENGTHS }, (_, i) => longest - LENGTHS + i) : [0];
  const grid = { batches: BATCHES, lengths };
  const samples = BATCHES.flatMap(batch => lengths.map(tokens => trace(model, { batch, tokens }, longest)));
  const of = { batch: LAST_BATCH, tokens: longest };
  const last = { ...trace(model, of, longest), of };
  for (const sample of samples) requireSameSteps(sample, last, model);
  return { grid, samples, last };
}

function requireSameSteps(a: Signature, b: Signature, { family }: ClassifierModel): void {
  const [ofA, ofB] = [indexByNode(a), indexByNode(b)];
  const isSame =
    a.schedule.length === b.schedule.length &&
    a.schedule.every((node, i) => {
      const other = required(b.schedule[i], 'a step');
      return (
        node.op === other.op &&
        node.inputs.map(input => valueFor(ofA, input)).join() === other.inputs.map(input => valueFor(ofB, input)).join()
      );
    });
  if (!isSame)
    throw new ExportError(`the steps of this ${family} depend on the size of its input, which ONNX cannot express: export it as merged`);
}

const indexByNode = ({ schedule }: Signature): ReadonlyMap<Node, number> => new Map(schedule.map((node, i) => [node, i]));
