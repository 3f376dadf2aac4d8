/** The token mixer of LFM2: a short convolution over the last tokens, with a gate on its input and one on its output. */

import type { Node } from '../../../../graph/graph.ts';
import { causalConvolution, lastTokens } from '../../../layer/recurrent/causal-convolution.ts';
import type { StateShape } from '../../../model-spec.ts';
import { linearSpec, type ModuleSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import { beginsOf, type MixerParams, mixerKernel, mixerParameter, presentOf } from './mixer.ts';
import { withSections } from './products.ts';

export interface DecoderConvolution {
  /** For each block, whether it has a convolution in place of attention. */
  readonly layers: readonly boolean[];
  /** Number of tokens that it reads, including the current one. */
  readonly width: number;
  /** True if the convolution and both products have biases. */
  readonly biased: boolean;
}

export interface ConvolutionBlock {
  /** The gate of the input, the gate of the output and the input, in one matrix. */
  readonly gatesAndInput: ModuleSpec;
  readonly kernel: ModuleSpec;
  readonly kernelBias: ModuleSpec | undefined;
  readonly o: ModuleSpec;
}

/** The state that a block passes from token to token. */
export const recentTokens = ({ width }: DecoderConvolution, hiddenSize: number): StateShape => ({ recent: [width - 1, hiddenSize] });

/** @param at the name of the block */
export function convolutionBlock({ width, biased }: DecoderConvolution, hiddenSize: number, layer: number, at: string): ConvolutionBlock {
  const path = `${at}.conv`;
  const linear = (name: string, out: number) => linearSpec(`${path}.${name}`, { part: 'attention', layer }, out, hiddenSize, biased);
  const sections = { b_proj: hiddenSize, c_proj: hiddenSize, x_proj: hiddenSize };
  return {
    gatesAndInput: withSections(linear('in_proj', 3 * hiddenSize), sections),
    kernel: mixerKernel(path, 'conv', layer, { channels: hiddenSize, width }),
    kernelBias: biased ? mixerParameter(path, 'conv.bias', layer, [hiddenSize]) : undefined,
    o: linear('out_proj', hiddenSize),
  };
}

/** The modules in the order of the forward pass. */
export const convolutionModules = ({ gatesAndInput, kernel, kernelBias, o }: ConvolutionBlock): readonly (ModuleSpec | undefined)[] => [
  ...[gatesAndInput, kernel, kernelBias, o],
];

/** x [batch · tokens, hidden] → (c ∘ convolution(b ∘ u))·Oᵀ, where b, c and u are the sections of x·Iᵀ: the same shape. */
export function traceConvolution(tracer: Tracer, block: ConvolutionBlock, x: Node, params: MixerParams): Node {
  const { graph } = tracer;
  const { layer, inputs, batch, tokens } = params;
  const { states } = inputs;
  const hiddenSize = x.shape[1] as number;
  const product = graph.reshape(tracer.linear(block.gatesAndInput, presentOf(tracer, x, params)), [batch, tokens, 3 * hiddenSize]);
  const section = (i: number): Node => graph.sliceAxis(product, 2, i * hiddenSize, hiddenSize);
  const read = graph.mul(section(0), section(2));
  const before = states?.read(layer).recent;
  const weight = tracer.parameter(block.kernel.weight);
  const near = causalConvolution(graph, { x: read, weight, positions: beginsOf(inputs), before });
  if (states && before) states.write(layer, { recent: lastTokens(graph, { x: read, before, counts: states.counts }) });
  const shifted = block.kernelBias ? graph.add(near, tracer.parameter(block.kernelBias.weight)) : near;
  return tracer.linear(block.o, graph.reshape(graph.mul(section(1), shifted), [batch * tokens, hiddenSize]));
}
