/**
 * Inputs of each block in addition to the states before it (Gemma 3n and 4): a second embedding of each token and a product of the first,
 * both with the inputs of all blocks side by side.
 */

import type { Node } from '../../../../graph/graph.ts';
import { dimensions } from '../../../../graph/types.ts';
import { activationOf } from '../../../layer/activation.ts';
import { embeddingSpec, linearSpec, type ModuleSpec, normSpec } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { multiplierFor } from './multiplier.ts';

/** The modules that compute the inputs of all blocks. */
export interface LayerInputs {
  /** [vocabulary, blocks · width]. */
  readonly table: ModuleSpec;
  /** Projects hidden states to the inputs of all blocks. */
  readonly projection: ModuleSpec;
  /** The norm of one block's part. */
  readonly norm: ModuleSpec;
}

/** The modules with which one block uses its input. */
export interface BlockInput {
  readonly gate: ModuleSpec;
  readonly projection: ModuleSpec;
  readonly norm: ModuleSpec;
}

export function layerInputs({ layerInputs: own, names, blocks, hiddenSize, norms, paddingRow }: DecoderConfig): LayerInputs | undefined {
  if (!own) return undefined;
  const { table, projection, norm } = names.layerInputs;
  const all = blocks * own.width;
  return {
    table: embeddingSpec(table, own.vocabularySize, all, paddingRow),
    projection: linearSpec(projection, { part: 'embedding', layer: -1 }, all, hiddenSize, false),
    norm: normSpec(norm, -1, own.width, norms.offset),
  };
}

export const layerInputModules = ({ table, projection, norm }: LayerInputs): ModuleSpec[] => [table, projection, norm];

export function blockInput({ layerInputs: own, names, hiddenSize, norms }: DecoderConfig, layer: number): BlockInput | undefined {
  if (!own) return undefined;
  const { gate, projection, norm } = names.block(layer).input;
  const place = { part: 'mlp', layer } as const;
  return {
    gate: linearSpec(gate, place, own.width, hiddenSize, false),
    projection: linearSpec(projection, place, hiddenSize, own.width, false),
    norm: normSpec(norm, layer, hiddenSize, norms.offset),
  };
}

export const blockInputModules = ({ gate, projection, norm }: BlockInput): ModuleSpec[] => [gate, projection, norm];

/**
 * The inputs of all blocks, [rows, blocks · width]: (norm(x·Wᵀ / √hidden) + √width · table[id]) / √2, where the norm is over the features
 * of one block.
 * @param ids int32 [rows]
 * @param x the scaled embeddings [rows, hidden]
 */
export function traceLayerInputs(
  tracer: Tracer,
  { table, projection, norm }: LayerInputs,
  config: DecoderConfig,
  ids: Node,
  x: Node,
): Node {
  const { graph } = tracer;
  const [rows, hiddenSize] = dimensions(x.shape, 2);
  const [width] = dimensions(norm.weight.shape, 1);
  const all = config.blocks * width;
  const product = graph.mul(tracer.linear(projection, x), hiddenSize ** -0.5);
  const normed = tracer.rmsNorm(norm, graph.reshape(product, [rows * config.blocks, width]), config.norms.epsilon);
  // A token without a row has the first one, as in Transformers.
  const [listed] = dimensions(table.weight.shape, 2);
  const rowOf =
    listed < config.vocabularySize ? graph.select(graph.less(ids, graph.scalar(listed, 'int32')), ids, graph.scalar(0, 'int32')) : ids;
  const known = graph.mul(tracer.embedding(table, rowOf), multiplierFor(tracer, { factor: Math.sqrt(width), rounded: true }));
  return graph.mul(graph.add(graph.reshape(normed, [rows, all]), known), Math.SQRT1_2);
}

export interface BlockInputParams {
  readonly config: DecoderConfig;
  readonly layer: number;
  /** See {@link traceLayerInputs}. */
  readonly inputs: Node;
}

/** y [rows, hidden] → norm((activation(y·Gᵀ) ∘ input)·Pᵀ), with the input of this block. */
export function traceBlockInput(tracer: Tracer, input: BlockInput, y: Node, { config, layer, inputs }: BlockInputParams): Node {
  const { graph } = tracer;
  const [width] = dimensions(input.gate.weight.shape, 2);
  const gate = activationOf(config.mlp.activation)(graph, tracer.linear(input.gate, y));
  const gated = graph.mul(gate, graph.sliceAxis(inputs, -1, layer * width, width));
  return tracer.rmsNorm(input.norm, tracer.linear(input.projection, gated), config.norms.epsilon);
}
