/** The block of BERT and its descendants: a norm follows each sum. */

import type { Node } from '../../../graph/graph.ts';
import { activationOf, gatedActivation } from '../../layer/activation.ts';
import { asPartOf, type BiasedSpec, type FilePart, layerNormSpec, linearSpec, type ModuleSpec, withHeads } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';

export interface PostNormBlock {
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
  readonly o: ModuleSpec;
  readonly attentionNorm: BiasedSpec;
  /** In families whose MLPs have a gate, which passes through the activation in place of `up`. */
  readonly gate?: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
  readonly outputNorm: BiasedSpec;
}

export interface PostNormConfig {
  readonly hiddenSize: number;
  readonly heads: number;
  /** By default, the heads divide the hidden size. */
  readonly headDim?: number | undefined;
  /** Which layers have biases; by default, all. A gate has one if `up` does. */
  readonly biased?: { readonly attention: boolean; readonly up: boolean; readonly down: boolean };
  readonly intermediateSize: number;
  readonly epsilon: number;
  readonly activation: string;
  /** The dropout of the outputs of attention and the MLP before they are added to the stream. */
  readonly outputDropout: { readonly attention: number; readonly mlp: number };
  /** The dropout of the input of the MLP's last layer, 0 by default. */
  readonly innerDropout?: number;
}

type LayerName = keyof PostNormBlock;

/** The names of the layers of a block. */
export type BlockNames = Readonly<Record<Exclude<LayerName, 'gate'>, string>> & {
  readonly gate?: string;
  /** The tensors of files, if files name or join layers differently. */
  readonly inFiles?: Readonly<Partial<Record<LayerName, FilePart>>>;
};

const ALL_BIASED = { attention: true, up: true, down: true } as const;

export function postNormBlock(config: PostNormConfig, layer: number, names: BlockNames): PostNormBlock {
  const { hiddenSize, heads, intermediateSize, headDim = hiddenSize / heads, biased = ALL_BIASED } = config;
  const width = heads * headDim;
  const inFiles = <Spec extends ModuleSpec>(key: LayerName, module: Spec): Spec => {
    const part = names.inFiles?.[key];
    return part ? asPartOf(module, part) : module;
  };
  const linear = (key: LayerName, name: string, part: 'attention' | 'mlp', out: number, inputs: number, isBiased: boolean) =>
    inFiles(key, linearSpec(name, { part, layer }, out, inputs, isBiased));
  const makesHeads = (key: 'q' | 'k' | 'v') =>
    withHeads(linear(key, names[key], 'attention', width, hiddenSize, biased.attention), { rows: headDim });
  const norm = (key: 'attentionNorm' | 'outputNorm') => inFiles(key, layerNormSpec(names[key], layer, hiddenSize));
  const inner = (key: 'gate' | 'up', name: string) => linear(key, name, 'mlp', intermediateSize, hiddenSize, biased.up);
  return {
    q: makesHeads('q'),
    k: makesHeads('k'),
    v: makesHeads('v'),
    o: withHeads(linear('o', names.o, 'attention', hiddenSize, width, biased.attention), { columns: headDim }),
    attentionNorm: norm('attentionNorm'),
    ...(names.gate !== undefined && { gate: inner('gate', names.gate) }),
    up: inner('up', names.up),
    down: linear('down', names.down, 'mlp', hiddenSize, intermediateSize, biased.down),
    outputNorm: norm('outputNorm'),
  };
}

export const blockModules = ({ q, k, v, o, attentionNorm, gate, up, down, outputNorm }: PostNormBlock): ModuleSpec[] => [
  ...[q, k, v, o, attentionNorm],
  ...(gate ? [gate] : []),
  ...[up, down, outputNorm],
];

/**
 * The part of a block after attention; takes and returns [batch · tokens, hiddenSize].
 * @param x the block's input
 * @param attended the outputs of the heads
 */
export function finishBlock(tracer: Tracer, config: PostNormConfig, block: PostNormBlock, x: Node, attended: Node): Node {
  const { graph } = tracer;
  const out = tracer.dropout(tracer.linear(block.o, attended), config.outputDropout.attention);
  const middle = tracer.layerNorm(block.attentionNorm, graph.add(x, out), config.epsilon);
  const up = tracer.linear(block.up, middle);
  const inner = block.gate
    ? gatedActivation(config.activation)(graph, tracer.linear(block.gate, middle), up)
    : activationOf(config.activation)(graph, up);
  const mlp = tracer.linear(block.down, tracer.dropout(inner, config.innerDropout ?? 0));
  return tracer.layerNorm(block.outputNorm, graph.add(middle, tracer.dropout(mlp, config.outputDropout.mlp)), config.epsilon);
}
