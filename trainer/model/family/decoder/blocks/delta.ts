/**
 * The token mixer with a recurrent state: the gated delta net of Qwen3.5, Qwen3-Next and OLMo Hybrid (Yang et al. 2024, "Gated Delta
 * Networks").
 */

import type { Graph, Node } from '../../../../graph/graph.ts';
import { lastOf } from '../../../../narrow.ts';
import { activationOf, softplus, swiglu } from '../../../layer/activation.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { causalConvolution, lastTokens } from '../../../layer/recurrent/causal-convolution.ts';
import { deltaRule } from '../../../layer/recurrent/delta-rule.ts';
import type { StateShape } from '../../../model-spec.ts';
import { inParts, linearSpec, type ModuleSpec, normSpec, withHeads } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import {
  type DeltaHeads,
  type DeltaParts,
  type DeltaProducts,
  deltaProductModules,
  deltaProducts,
  traceDeltaProducts,
} from './delta-products.ts';
import { beginsOf, isReadOf, type MixerParams, mixerKernel, mixerParameter, presentOf } from './mixer.ts';

export interface DecoderDelta extends DeltaHeads {
  /** For each block, whether it has a delta net in place of attention. */
  readonly layers: readonly boolean[];
  /** Number of tokens that the convolution reads, including the current one. */
  readonly width: number;
  /** The activation after the convolution. */
  readonly activation: string;
  /** The maximum rate; beyond 1, a token may reverse what the state holds at its key (negative eigenvalues). */
  readonly maxRate: 1 | 2;
  /** Epsilon of the norm of the output, added to the mean square. */
  readonly epsilon: number;
}

export interface DeltaBlock {
  readonly products: DeltaProducts;
  readonly decayScale: ModuleSpec;
  readonly decayBias: ModuleSpec;
  readonly convolution: ModuleSpec;
  readonly norm: ModuleSpec;
  readonly o: ModuleSpec;
}

const channelsOf = ({ keyHeads, heads, keyDim, valueDim }: DecoderDelta): number => 2 * keyHeads * keyDim + heads * valueDim;

/** The state that a block passes from token to token. */
export const stateShape = (delta: DecoderDelta): StateShape => ({
  recent: [delta.width - 1, channelsOf(delta)],
  memory: [delta.heads, delta.keyDim, delta.valueDim],
});

/** @param at the name of the block */
export function deltaBlock(delta: DecoderDelta, hiddenSize: number, layer: number, at: string): DeltaBlock {
  const { heads, valueDim, width, storage } = delta;
  const path = `${at}.linear_attn`;
  const kernel = mixerKernel(path, 'conv1d', layer, { channels: channelsOf(delta), width });
  const names = storage === 'apart' ? { norm: 'o_norm', o: 'o_proj' } : { norm: 'norm', o: 'out_proj' };
  return {
    products: deltaProducts(delta, hiddenSize, layer, path),
    decayScale: mixerParameter(path, 'A_log', layer, [heads]),
    decayBias: mixerParameter(path, 'dt_bias', layer, [heads]),
    convolution: storage === 'apart' ? inParts(kernel, ...kernelForms(delta, path)) : kernel,
    norm: normSpec(`${path}.${names.norm}`, layer, valueDim),
    o: withHeads(linearSpec(`${path}.${names.o}`, { part: 'attention', layer }, hiddenSize, heads * valueDim, false), {
      columns: valueDim,
    }),
  };
}

/** The forms of the kernel in files: those of queries, keys and values; Transformers 5.24 writes three of one size under these names. */
function kernelForms(delta: DecoderDelta, path: string): Readonly<Record<string, number>>[] {
  const { keyHeads, heads, keyDim, valueDim } = delta;
  const named = (q: number, k: number, v: number) => ({ [`${path}.q_conv1d`]: q, [`${path}.k_conv1d`]: k, [`${path}.v_conv1d`]: v });
  const [channels, keys] = [channelsOf(delta), keyHeads * keyDim];
  const third = Math.ceil(channels / 3);
  return [named(keys, keys, heads * valueDim), named(third, third, channels - 2 * third)];
}

/** The modules in the order of the forward pass. */
export const deltaModules = ({ products, convolution, decayScale, decayBias, norm, o }: DeltaBlock): ModuleSpec[] => [
  ...[...deltaProductModules(products), convolution, decayScale, decayBias, norm, o],
];

export interface TraceDeltaParams extends MixerParams {
  readonly delta: DecoderDelta;
  readonly block: DeltaBlock;
}

/** Added to the squared norm that queries and keys are divided by, as in Transformers. */
const LENGTH_EPSILON = 1e-6;

/** x [batch · tokens, hidden] → the same shape. */
export function traceDelta(tracer: Tracer, x: Node, params: TraceDeltaParams): Node {
  const { graph } = tracer;
  const { delta, block, layer, inputs, batch, tokens } = params;
  const { keyHeads, heads, keyDim, valueDim } = delta;
  const { states } = inputs;
  const { qkv, gate, ...controls } = traceDeltaProducts(tracer, block.products, delta, presentOf(tracer, x, params));
  const mixed = graph.reshape(qkv, [batch, tokens, channelsOf(delta)]);
  const before = states?.read(layer);
  const positions = beginsOf(inputs);
  const weight = tracer.parameter(block.convolution.weight);
  const near = causalConvolution(graph, { x: mixed, weight, positions, before: before?.recent });
  const active = activationOf(delta.activation)(graph, near);
  const part = (begin: number, count: number, width: number): Node =>
    graph.transpose(graph.reshape(graph.sliceAxis(active, 2, begin, count * width), [batch, tokens, count, width]), [0, 2, 1, 3]);
  const keys = keyHeads * keyDim;
  const rule = deltaRule(graph, {
    q: scaledTo(graph, part(0, keyHeads, keyDim), keyDim ** -0.5),
    k: scaledTo(graph, part(keys, keyHeads, keyDim), 1),
    v: part(2 * keys, heads, valueDim),
    ...stateControls(tracer, controls, params),
    positions,
    state: before?.memory,
  });
  if (states && before) {
    const recent = lastTokens(graph, { x: mixed, before: before.recent, counts: states.counts });
    states.write(layer, { recent, memory: rule.last() });
  }
  const rows = batch * tokens * heads;
  const byHead = graph.reshape(graph.transpose(rule.y, [0, 2, 1, 3]), [rows, valueDim]);
  const gated = swiglu(graph, graph.reshape(gate, [rows, valueDim]), tracer.rmsNorm(block.norm, byHead, delta.epsilon));
  return tracer.linear(block.o, graph.reshape(gated, [batch * tokens, heads * valueDim]));
}

/** Scales the last axis of x to a length: x · length / √(Σx² + ε). */
function scaledTo(graph: Graph, x: Node, length: number): Node {
  const features = lastOf(x.shape);
  return rmsNorm(graph, { x, scale: graph.scalar(length * features ** -0.5), epsilon: LENGTH_EPSILON / features });
}

/**
 * How much of its state each head keeps and writes at each token: decay −e^(A_log) · softplus(a + dt_bias), rate σ(b) · its maximum,
 * [batch, heads, tokens].
 */
function stateControls(
  tracer: Tracer,
  products: Pick<DeltaParts, 'rate' | 'decay'>,
  { delta, block, inputs: { states }, batch, tokens }: TraceDeltaParams,
): { decay: Node; rate: Node } {
  const { graph } = tracer;
  const speed = graph.neg(graph.exp(tracer.parameter(block.decayScale.weight)));
  const rate = graph.mul(graph.sigmoid(products.rate), delta.maxRate);
  const decay = graph.mul(softplus(graph, graph.add(products.decay, tracer.parameter(block.decayBias.weight))), speed);
  const isRead = states && graph.reshape(isReadOf(graph, states.counts, tokens), [batch, 1, tokens]);
  const byHead = (y: Node): Node => {
    const transposed = graph.transpose(graph.reshape(y, [batch, tokens, delta.heads]), [0, 2, 1]);
    return isRead ? graph.mul(transposed, isRead) : transposed;
  };
  return { decay: byHead(decay), rate: byHead(rate) };
}
