/**
 * Several streams of states for each token (AltUp, Baykal et al. 2023, arXiv:2301.13310, as Gemma 3n has it). A block predicts all streams
 * from all of them, computes one, and corrects the others by what it changed there. States are [rows, streams, hidden].
 */

import type { Graph, Node } from '../../../../graph/graph.ts';
import { dimensions } from '../../../../graph/types.ts';
import { asPartOf, linearSpec, type ModuleSpec, normSpec, parameterSpec, scaleSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** The layers that make the other streams from the embeddings, and those that read the last states of each. */
export interface StreamEnds {
  readonly made: readonly ModuleSpec[];
  readonly read: readonly ModuleSpec[];
}

/** The modules of one block. */
export interface AltUp {
  readonly norm: ModuleSpec;
  /** Gives the few numbers of a token that the coefficients are computed from. */
  readonly router: ModuleSpec;
  readonly predicts: ModuleSpec;
  readonly corrects: ModuleSpec;
  /** Multiplies the corrected stream that the input of the block is gated by. */
  readonly scale: ModuleSpec;
}

export function streamEnds({ altUp, names, hiddenSize }: DecoderConfig): StreamEnds | undefined {
  if (!altUp) return undefined;
  const others = Array.from({ length: altUp.streams - 1 }, (_, stream) => stream);
  const layers = (kind: Parameters<typeof names.stream>[0]) =>
    others.map(index => {
      const layer = linearSpec(names.stream(kind, index), { part: 'embedding', layer: -1 }, hiddenSize, hiddenSize, false);
      // GGUF files have all in one tensor.
      return asPartOf(layer, { name: `model.${kind}`, of: others.length, index });
    });
  return { made: layers('altup_projections'), read: layers('altup_unembed_projections') };
}

export const streamModules = ({ made, read }: StreamEnds): ModuleSpec[] => [...made, ...read];

export function altUpBlock({ altUp, names, hiddenSize, norms }: DecoderConfig, layer: number): AltUp | undefined {
  if (!altUp) return undefined;
  const { streams } = altUp;
  const at = `${names.block(layer).at}.altup`;
  // Layers of a few rows or columns, of which no method can choose some.
  const small = (name: string, out: number, width: number): ModuleSpec => ({
    ...parameterSpec(`${at}.${name}.weight`, [out, width]),
    ...{ name: `${at}.${name}`, part: 'mlp', layer },
  });
  const scale = `${at}.correct_output_scale`;
  return {
    norm: normSpec(`${at}.router_norm`, layer, hiddenSize, norms.offset),
    router: small('modality_router', streams, hiddenSize),
    predicts: small('prediction_coefs', streams ** 2, streams),
    corrects: small('correction_coefs', streams, streams),
    scale: scaleSpec(scale, scale, layer, hiddenSize),
  };
}

export const altUpModules = ({ norm, router, predicts, corrects, scale }: AltUp): ModuleSpec[] => [norm, router, predicts, corrects, scale];

/** The least mean square that a stream is divided by, as in Transformers. */
const LEAST = 1e-5;
/** Keeps the slope of the root finite for an embedding of zeros. */
const TINY = 1e-30;

/** y with the root mean square of x, both [rows, hidden]. */
function withSizeOf(graph: Graph, y: Node, x: Node): Node {
  const meanSquare = (of: Node): Node => graph.mean(graph.square(of), [-1], true);
  const ratio = graph.div(graph.maximum(meanSquare(x), TINY), graph.maximum(meanSquare(y), LEAST));
  return graph.mul(y, graph.sqrt(ratio));
}

/** Stream `index` of x [rows, streams, hidden], as [rows, hidden]. */
function streamOf(graph: Graph, x: Node, index: number): Node {
  const [rows, , hidden] = dimensions(x.shape, 3);
  return graph.reshape(graph.sliceAxis(x, 1, index, 1), [rows, hidden]);
}

/** Embeddings x [rows, hidden] → streams [rows, streams, hidden], the first of which is x. */
export function traceStreams(tracer: Tracer, { made }: StreamEnds, x: Node): Node {
  const { graph } = tracer;
  const [rows, hidden] = dimensions(x.shape, 2);
  const all = [x, ...made.map(module => withSizeOf(graph, tracer.linear(module, x), x))];
  return graph.concat(
    all.map(each => graph.reshape(each, [rows, 1, hidden])),
    1,
  );
}

/** Streams [rows, streams, hidden] → their mean [rows, hidden], each but the first by its own layer. */
export function traceEnd(tracer: Tracer, { read }: StreamEnds, x: Node): Node {
  const { graph } = tracer;
  const first = streamOf(graph, x, 0);
  const others = read.map((module, i) => withSizeOf(graph, tracer.linear(module, streamOf(graph, x, i + 1)), first));
  return graph.mul(
    others.reduce((sum, each) => graph.add(sum, each), first),
    1 / (read.length + 1),
  );
}

/** The computations of a block on one stream. */
interface StreamBlock {
  readonly config: DecoderConfig;
  /** x [rows, hidden] → the same shape. */
  readonly compute: (x: Node) => Node;
  /** The input of the block, gated by a stream [rows, hidden] → the same shape; added to every stream but the first. */
  readonly input: (x: Node) => Node;
}

/** x [rows, in] → x·Wᵀ [rows, out], by a layer of a few rows or columns. */
const product = (tracer: Tracer, { weight }: ModuleSpec, x: Node): Node =>
  tracer.graph.matmul(x, tracer.parameter(weight), { transposeB: true });

/** x [rows, streams, hidden] → the same shape. */
export function traceAltUp(tracer: Tracer, module: AltUp, x: Node, { config, compute, input }: StreamBlock): Node {
  const { graph } = tracer;
  const [rows, streams, hidden] = dimensions(x.shape, 3);
  const { active = 0 } = config.altUp ?? {};
  const routed = (of: Node): Node => {
    const normed = graph.mul(tracer.rmsNorm(module.norm, of, config.norms.epsilon), 1 / hidden);
    return graph.tanh(product(tracer, module.router, normed));
  };
  const mixing = product(tracer, module.predicts, routed(streamOf(graph, x, active)));
  const predicted = graph.add(graph.matmul(graph.reshape(mixing, [rows, streams, streams]), x), x);
  const before = streamOf(graph, predicted, active);
  const after = compute(before);
  const shares = graph.add(product(tracer, module.corrects, routed(after)), 1);
  const change = graph.reshape(graph.sub(after, before), [rows, 1, hidden]);
  const corrected = graph.add(predicted, graph.mul(change, graph.reshape(shares, [rows, streams, 1])));
  const added = input(tracer.scale(module.scale, streamOf(graph, corrected, active)));
  const isOther = graph.constant(
    Float32Array.from({ length: streams }, (_, stream) => Math.min(stream, 1)),
    [1, streams, 1],
    'float32',
  );
  return graph.add(corrected, graph.mul(graph.reshape(added, [rows, 1, hidden]), isOther));
}
