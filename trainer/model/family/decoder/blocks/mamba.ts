/** The token mixer of Mamba-2 (Dao & Gu 2024): a convolution over the last tokens, and a state per head that each token reads. */

import type { Graph, Node } from '../../../../graph/graph.ts';
import { dimensions } from '../../../../graph/types.ts';
import { elementAt } from '../../../../narrow.ts';
import { activationOf, softplus, swiglu } from '../../../layer/activation.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { causalConvolution, lastTokens } from '../../../layer/recurrent/causal-convolution.ts';
import { stateSpace } from '../../../layer/recurrent/state-space.ts';
import type { StateShape } from '../../../model-spec.ts';
import { linearSpec, type ModuleSpec, normSpec, withHeads } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { beginsOf, isReadOf, type MixerParams, mixerKernel, mixerParameter, presentOf } from './mixer.ts';
import { withSections } from './products.ts';

export interface DecoderMamba {
  /** The name of the mixer within a block. */
  readonly name: string;
  /** Set if PEFT refuses low-rank factors of the output product. */
  readonly lacksPeftFactors?: true;
  /** For each block, whether it has Mamba-2, in place of attention unless both are side by side. */
  readonly layers: readonly boolean[];
  readonly heads: number;
  readonly headDim: number;
  /** Number of groups; the heads of a group, which are neighbors, share B and C. */
  readonly groups: number;
  /** State size of a head, per feature. */
  readonly stateDim: number;
  /** Number of tokens that the convolution reads, including the current one. */
  readonly width: number;
  /** Tokens per chunk. It changes the results only by rounding. */
  readonly chunk: number;
  readonly biases: { readonly input: boolean; readonly output: boolean; readonly convolution: boolean };
  /** The activation after the convolution. */
  readonly activation: string;
  /** Whether the outputs of the heads are normalized after or before their gates multiply them; undefined: neither. */
  readonly norm: 'after gate' | 'before gate' | undefined;
  /** Set if these blocks have attention too: both read the same input, and their outputs are added. */
  readonly hasAttention?: true;
  /** Factors that are not trained: of the input, of the sections of the first product (gate, x, B, C, time steps), and of the output. */
  readonly multipliers?: { readonly input: number; readonly sections: readonly number[]; readonly output: number };
  /** The minimum and maximum time step. */
  readonly steps: { readonly least: number; readonly most: number };
}

export interface MambaBlock {
  /** The gate of the output, the values x, B, C and the time steps, in one matrix. */
  readonly gateAndInput: ModuleSpec;
  readonly kernel: ModuleSpec;
  readonly kernelBias: ModuleSpec | undefined;
  readonly stepBias: ModuleSpec;
  readonly decayScale: ModuleSpec;
  /** How much of its own value a token outputs, [heads]. */
  readonly skip: ModuleSpec;
  readonly norm: ModuleSpec | undefined;
  readonly o: ModuleSpec;
}

const sizesOf = ({ heads, headDim, groups, stateDim }: DecoderMamba) => {
  const [inner, states] = [heads * headDim, groups * stateDim];
  const sections = { z_proj: inner, x_proj: inner, b_proj: states, c_proj: states, dt_proj: heads };
  return { inner, states, channels: inner + 2 * states, sections };
};

/** The state that a block passes from token to token. */
export const mambaState = (mamba: DecoderMamba): StateShape => ({
  recent: [mamba.width - 1, sizesOf(mamba).channels],
  memory: [mamba.groups, mamba.stateDim, sizesOf(mamba).inner / mamba.groups],
});

/** @param at the name of the block */
export function mambaBlock(mamba: DecoderMamba, hiddenSize: number, layer: number, at: string): MambaBlock {
  const { heads, headDim, width, biases, norm } = mamba;
  const { inner, channels, sections } = sizesOf(mamba);
  const path = `${at}.${mamba.name}`;
  const linear = (name: string, out: number, from: number, biased: boolean) =>
    linearSpec(`${path}.${name}`, { part: 'attention', layer }, out, from, biased);
  return {
    gateAndInput: withSections(linear('in_proj', inner + channels + heads, hiddenSize, biases.input), sections),
    kernel: mixerKernel(path, 'conv1d', layer, { channels, width }),
    kernelBias: biases.convolution ? mixerParameter(path, 'conv1d.bias', layer, [channels]) : undefined,
    stepBias: mixerParameter(path, 'dt_bias', layer, [heads]),
    decayScale: mixerParameter(path, 'A_log', layer, [heads]),
    skip: mixerParameter(path, 'D', layer, [heads]),
    norm: norm && normSpec(`${path}.norm`, layer, inner),
    o: {
      ...withHeads(linear('out_proj', hiddenSize, inner, biases.output), { columns: headDim }),
      ...(mamba.lacksPeftFactors && { lacksPeftFactors: true }),
    },
  };
}

/** The modules in the order of the forward pass. */
export const mambaModules = ({ gateAndInput, kernel, kernelBias, stepBias, decayScale, skip, norm, o }: MambaBlock) => [
  ...[gateAndInput, kernel, kernelBias, stepBias, decayScale, skip, norm, o],
];

export interface TraceMambaParams extends MixerParams {
  readonly mamba: DecoderMamba;
  readonly block: MambaBlock;
  /** Epsilon of the norm, added to the mean square. */
  readonly epsilon: number;
}

/** x [batch · tokens, hidden] → the same shape. */
export function traceMamba(tracer: Tracer, x: Node, params: TraceMambaParams): Node {
  const { graph } = tracer;
  const { mamba, block, layer, inputs, batch, tokens } = params;
  const { heads, headDim, groups } = mamba;
  const { inner, states: wide, channels } = sizesOf(mamba);
  const { states } = inputs;
  const scaled = graph.mul(presentOf(tracer, x, params), mamba.multipliers?.input ?? 1);
  const whole = graph.reshape(tracer.linear(block.gateAndInput, scaled), [batch, tokens, inner + channels + heads]);
  const product = multiplied(graph, whole, mamba);
  const mixed = graph.sliceAxis(product, 2, inner, channels);
  const before = states?.read(layer);
  const positions = beginsOf(inputs);
  const weight = tracer.parameter(block.kernel.weight);
  const near = causalConvolution(graph, { x: mixed, weight, positions, before: before?.recent });
  const shifted = block.kernelBias ? graph.add(near, tracer.parameter(block.kernelBias.weight)) : near;
  const flat = graph.reshape(activationOf(mamba.activation)(graph, shifted), [batch * tokens, channels]);
  const active = graph.reshape(presentOf(tracer, flat, params), mixed.shape);
  const values = graph.sliceAxis(active, 2, 0, inner);
  const space = stateSpace(graph, {
    ...{ x: values, b: graph.sliceAxis(active, 2, inner, wide), c: graph.sliceAxis(active, 2, inner + wide, wide) },
    ...stateControls(tracer, graph.sliceAxis(product, 2, inner + channels, heads), params),
    ...{ groups, positions, state: before?.memory, chunk: mamba.chunk },
  });
  if (states && before) {
    const recent = lastTokens(graph, { x: mixed, before: before.recent, counts: states.counts });
    states.write(layer, { recent, memory: space.last() });
  }
  const rows = batch * tokens;
  const byHead = (y: Node): Node => graph.reshape(y, [rows, heads, headDim]);
  const own = graph.mul(byHead(values), graph.reshape(tracer.parameter(block.skip.weight), [heads, 1]));
  const read = graph.reshape(graph.add(byHead(space.y), own), [rows, inner]);
  const gate = graph.reshape(graph.sliceAxis(product, 2, 0, inner), [rows, inner]);
  return graph.mul(tracer.linear(block.o, gated(tracer, gate, read, params)), mamba.multipliers?.output ?? 1);
}

/** Multiplies each section of the first product by its own factor. @param y [batch, tokens, features] */
function multiplied(graph: Graph, y: Node, mamba: DecoderMamba): Node {
  const { sections = [] } = mamba.multipliers ?? {};
  if (sections.every(factor => factor === 1)) return y;
  const factors = Object.values(sizesOf(mamba).sections).flatMap((rows, i) => Array<number>(rows).fill(elementAt(sections, i)));
  return graph.mul(y, graph.constant(Float32Array.from(factors), [factors.length], 'float32'));
}

/** The outputs of the heads with their gates and norm. @param y [rows, inner] */
function gated(tracer: Tracer, gate: Node, y: Node, params: TraceMambaParams): Node {
  const { norm } = params.block;
  if (!norm) return swiglu(tracer.graph, gate, y);
  if (params.mamba.norm === 'before gate') return swiglu(tracer.graph, gate, normed(tracer, norm, y, params));
  return normed(tracer, norm, swiglu(tracer.graph, gate, y), params);
}

/** Normalizes each group separately. @param x [rows, inner] */
function normed(tracer: Tracer, norm: ModuleSpec, x: Node, { mamba: { groups }, epsilon }: TraceMambaParams): Node {
  if (groups === 1) return tracer.rmsNorm(norm, x, epsilon);
  const { graph } = tracer;
  const [rows, inner] = dimensions(x.shape, 2);
  const apart = rmsNorm(graph, { x: graph.reshape(x, [rows * groups, inner / groups]), epsilon });
  return tracer.scale(norm, graph.reshape(apart, x.shape));
}

/**
 * How much of its state each head keeps and writes at each token: with the step Δ = softplus(dt + dt_bias) within its limits, the decay
 * −e^(A_log) · Δ and the rate Δ, [batch, tokens, heads].
 */
function stateControls(
  tracer: Tracer,
  dt: Node,
  { mamba: { steps }, block, inputs: { states }, batch, tokens }: TraceMambaParams,
): { decay: Node; rate: Node } {
  const { graph } = tracer;
  const biased = graph.add(dt, tracer.parameter(block.stepBias.weight));
  // The backward pass computes the steps and their slope from these few values. Otherwise XLA would also keep the whole first product with
  // its bias, because the steps are a slice of that.
  biased.kept = true;
  const step = within(graph, softplus(graph, biased), steps);
  const taken = states ? graph.mul(step, graph.reshape(isReadOf(graph, states.counts, tokens), [batch, tokens, 1])) : step;
  const decay = graph.mul(taken, graph.neg(graph.exp(tracer.parameter(block.decayScale.weight))));
  return { decay, rate: taken };
}

/** Clamps the steps. A softplus is always above 0, so a minimum of 0 needs no operation. */
function within(graph: Graph, x: Node, { least, most }: DecoderMamba['steps']): Node {
  const above = least > 0 ? graph.maximum(x, least) : x;
  return most < Number.POSITIVE_INFINITY ? graph.minimum(above, most) : above;
}
