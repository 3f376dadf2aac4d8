/** The block of BERT and its descendants: a norm follows each sum. */

import type { Node } from '../../../graph/graph.ts';
import { activationOf } from '../../layer/activation.ts';
import { type BiasedSpec, layerNormSpec, linearSpec, type ModuleSpec, withHeads } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';

export interface PostNormBlock {
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
  readonly o: ModuleSpec;
  readonly attentionNorm: BiasedSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
  readonly outputNorm: BiasedSpec;
}

export interface PostNormConfig {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly epsilon: number;
  readonly activation: string;
  /** The dropout of the outputs of attention and the MLP before they are added to the stream. */
  readonly outputDropout: { readonly attention: number; readonly mlp: number };
}

/** The names of the layers of a block in the weight file. */
export type BlockNames = Readonly<Record<keyof PostNormBlock, string>>;

export function postNormBlock({ hiddenSize, heads, intermediateSize }: PostNormConfig, layer: number, names: BlockNames): PostNormBlock {
  const attends = (name: string) => linearSpec(name, { part: 'attention', layer }, hiddenSize, hiddenSize);
  const headDim = hiddenSize / heads;
  const makesHeads = (name: string) => withHeads(attends(name), { rows: headDim });
  const mlp = { part: 'mlp', layer } as const;
  return {
    q: makesHeads(names.q),
    k: makesHeads(names.k),
    v: makesHeads(names.v),
    o: withHeads(attends(names.o), { columns: headDim }),
    attentionNorm: layerNormSpec(names.attentionNorm, layer, hiddenSize),
    up: linearSpec(names.up, mlp, intermediateSize, hiddenSize),
    down: linearSpec(names.down, mlp, hiddenSize, intermediateSize),
    outputNorm: layerNormSpec(names.outputNorm, layer, hiddenSize),
  };
}

export const blockModules = (b: PostNormBlock): ModuleSpec[] => [b.q, b.k, b.v, b.o, b.attentionNorm, b.up, b.down, b.outputNorm];

/**
 * The part of a block after attention; takes and returns [batch · tokens, hiddenSize].
 * @param x the block's input
 * @param attended the outputs of the heads
 */
export function finishBlock(tracer: Tracer, config: PostNormConfig, block: PostNormBlock, x: Node, attended: Node): Node {
  const { graph } = tracer;
  const activation = activationOf(config.activation);
  const out = tracer.dropout(tracer.linear(block.o, attended), config.outputDropout.attention);
  const middle = tracer.layerNorm(block.attentionNorm, graph.add(x, out), config.epsilon);
  const mlp = tracer.linear(block.down, activation(graph, tracer.linear(block.up, middle)));
  return tracer.layerNorm(block.outputNorm, graph.add(middle, tracer.dropout(mlp, config.outputDropout.mlp)), config.epsilon);
}
