/** The block of vision transformers: a norm before attention and before the MLP, and in some families scales after them. */

import type { Node } from '../../graph/graph.ts';
import { atLeast, elementAt } from '../../narrow.ts';
import { activationOf } from '../layer/activation.ts';
import type { AttentionMask } from '../layer/attention/attention.ts';
import { attend, byHead, splitHeads } from '../layer/attention/self-attention.ts';
import { type RotaryTables, rotate } from '../layer/positions/rotary.ts';
import { layerNormSpec, linearSpec, type ModuleSpec, normSpec, scaleSpec, withHeads } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';

export interface PreNormConfig {
  readonly hiddenSize: number;
  /** Width between the layers of the MLP. */
  readonly intermediateSize: number;
  readonly heads: number;
  readonly biased: { readonly q: boolean; readonly k: boolean; readonly v: boolean; readonly o: boolean; readonly mlp: boolean };
  /** True if the outputs of attention and the MLP are scaled per feature. */
  readonly isScaled: boolean;
  readonly epsilon: number;
  /** Set if norms divide by the root mean square, without a mean or a bias. */
  readonly hasRmsNorms?: true | undefined;
  /** Set if queries and keys are normalized, all heads together: the epsilon. */
  readonly innerEpsilon?: number | undefined;
  readonly activation: string;
  /** Dropout of the outputs of attention and the MLP, before they are added to the stream. */
  readonly dropout: number;
  readonly attentionDropout: number;
  /** Probability that a sample skips attention, and that it skips the MLP. */
  readonly pathDropout: { readonly attention: number; readonly mlp: number };
}

/** The names of a block's tensors. */
export interface PreNormNames {
  /** Queries, keys and values; or one layer for all three. */
  readonly qkv: readonly [string, string, string] | string;
  readonly o: string;
  /** The layer before the activation; or both layers of a gated MLP. */
  readonly mlp: string | { readonly gate: string; readonly up: string };
  /** True if one layer computes both the gate and the part it multiplies. */
  readonly hasFusedGate?: boolean;
  readonly down: string;
  readonly inputNorm: string;
  readonly middleNorm: string;
  /** The norms of the queries and the keys, in families that have them. */
  readonly innerNorms?: readonly [string, string];
  /** Modules that scale the outputs of attention and the MLP, with the full names of their weights. */
  readonly scales?: readonly [ScaleName, ScaleName];
}

export interface ScaleName {
  readonly name: string;
  readonly weight: string;
}

export interface PreNormBlock {
  /** Queries, keys and values, from three layers or from one. */
  readonly qkv: readonly ModuleSpec[];
  readonly o: ModuleSpec;
  /** The layer whose output passes through the activation and multiplies `up`, if it is a separate layer. */
  readonly gate: ModuleSpec | undefined;
  /** With a fused gate, its first half is the gate. */
  readonly up: ModuleSpec;
  readonly hasFusedGate: boolean;
  readonly down: ModuleSpec;
  readonly inputNorm: ModuleSpec;
  readonly middleNorm: ModuleSpec;
  /** The norms of the queries and the keys. */
  readonly innerNorms: readonly [ModuleSpec, ModuleSpec] | undefined;
  readonly scales: readonly [ModuleSpec, ModuleSpec] | undefined;
}

export function preNormBlock(config: PreNormConfig, layer: number, names: PreNormNames): PreNormBlock {
  const { hiddenSize, heads, intermediateSize, biased, isScaled } = config;
  const attention = { part: 'attention', layer } as const;
  const mlp = { part: 'mlp', layer } as const;
  const headDim = hiddenSize / heads;
  const makesHeads = (name: string, width: number, isBiased: boolean) =>
    withHeads(linearSpec(name, attention, width, hiddenSize, isBiased), { rows: headDim });
  const { qkv, mlp: inner } = names;
  const up = typeof inner === 'string' ? inner : inner.up;
  const norm = (name: string): ModuleSpec =>
    config.hasRmsNorms ? normSpec(name, layer, hiddenSize) : layerNormSpec(name, layer, hiddenSize);
  const scale = ({ name, weight }: { name: string; weight: string }) => scaleSpec(name, weight, layer, hiddenSize);
  return {
    qkv:
      typeof qkv === 'string'
        ? [makesHeads(qkv, 3 * hiddenSize, biased.q)]
        : (['q', 'k', 'v'] as const).map((each, i) => makesHeads(elementAt(qkv, i), hiddenSize, biased[each])),
    o: withHeads(linearSpec(names.o, attention, hiddenSize, hiddenSize, biased.o), { columns: headDim }),
    gate: typeof inner === 'string' ? undefined : linearSpec(inner.gate, mlp, intermediateSize, hiddenSize, biased.mlp),
    up: linearSpec(up, mlp, names.hasFusedGate ? 2 * intermediateSize : intermediateSize, hiddenSize, biased.mlp),
    hasFusedGate: names.hasFusedGate ?? false,
    down: linearSpec(names.down, mlp, hiddenSize, intermediateSize, biased.mlp),
    inputNorm: norm(names.inputNorm),
    middleNorm: norm(names.middleNorm),
    innerNorms:
      config.innerEpsilon !== undefined && names.innerNorms
        ? [normSpec(names.innerNorms[0], layer, hiddenSize), normSpec(names.innerNorms[1], layer, hiddenSize)]
        : undefined,
    scales: isScaled && names.scales ? [scale(names.scales[0]), scale(names.scales[1])] : undefined,
  };
}

/** The block with other forms of its modules. */
export const withModules = (block: PreNormBlock, change: <Spec extends ModuleSpec>(module: Spec) => Spec): PreNormBlock => ({
  ...block,
  qkv: block.qkv.map(module => change(module)),
  o: change(block.o),
  gate: block.gate && change(block.gate),
  up: change(block.up),
  down: change(block.down),
  inputNorm: change(block.inputNorm),
  middleNorm: change(block.middleNorm),
  innerNorms: block.innerNorms && [change(block.innerNorms[0]), change(block.innerNorms[1])],
  scales: block.scales && [change(block.scales[0]), change(block.scales[1])],
});

/** The modules in the order of the forward pass. */
export function preNormModules({ inputNorm, qkv, innerNorms, o, scales, middleNorm, gate, up, down }: PreNormBlock): ModuleSpec[] {
  const [afterAttention, afterMlp] = scales ?? [];
  return [inputNorm, ...qkv, ...(innerNorms ?? []), o, afterAttention, middleNorm, gate, up, down, afterMlp].filter(
    module => module !== undefined,
  );
}

/**
 * x [batch · tokens, hiddenSize] → the same shape.
 * @param attendTo computes attention from the output of the first norm, [batch · tokens, hiddenSize]
 */
export function runPreNormBlock(
  tracer: Tracer,
  config: PreNormConfig,
  block: PreNormBlock,
  x: Node,
  batch: number,
  attendTo: (normal: Node) => Node,
): Node {
  const { graph } = tracer;
  const add = (before: Node, change: Node, scale: ModuleSpec | undefined, past: number): Node => {
    const scaled = scale ? tracer.scale(scale, change) : change;
    return graph.add(before, tracer.dropPath(tracer.dropout(scaled, config.dropout), past, batch));
  };
  const normed = (norm: ModuleSpec, y: Node): Node =>
    config.hasRmsNorms ? tracer.rmsNorm(norm, y, config.epsilon) : tracer.layerNorm(norm, y, config.epsilon);
  const normal = normed(block.inputNorm, x);
  const middle = add(x, attendTo(normal), block.scales?.[0], config.pathDropout.attention);
  const inner = hiddenOf(tracer, config, block, normed(block.middleNorm, middle));
  return add(middle, tracer.linear(block.down, inner), block.scales?.[1], config.pathDropout.mlp);
}

/** Attention from every token to all tokens, or to those that a mask shows. @param rotary rotates queries and keys */
export function attendToAll(
  tracer: Tracer,
  config: PreNormConfig,
  block: PreNormBlock,
  x: Node,
  batch: number,
  rotary: RotaryTables | undefined,
  mask: AttentionMask = { kind: 'all' },
): Node {
  const [q, k, v] = projections(tracer, config, block, x, batch, rotary);
  const scale = (q.shape[3] as number) ** -0.5;
  const attended = attend(tracer, { q, k, v, scale, mask, dropout: config.attentionDropout });
  return tracer.linear(block.o, attended);
}

function hiddenOf(tracer: Tracer, config: PreNormConfig, { gate, up, hasFusedGate }: PreNormBlock, x: Node): Node {
  const { graph } = tracer;
  const activation = activationOf(config.activation);
  if (gate) return graph.mul(activation(graph, tracer.linear(gate, x)), tracer.linear(up, x));
  const y = tracer.linear(up, x);
  if (!hasFusedGate) return activation(graph, y);
  const half = config.intermediateSize;
  return graph.mul(activation(graph, graph.sliceAxis(y, 1, 0, half)), graph.sliceAxis(y, 1, half, half));
}

/** Queries, keys and values, each [batch, heads, tokens, headDim]. */
export function projections(
  tracer: Tracer,
  { heads, hiddenSize, innerEpsilon }: Pick<PreNormConfig, 'heads' | 'hiddenSize' | 'innerEpsilon'>,
  { qkv, innerNorms }: Pick<PreNormBlock, 'qkv'> & Partial<Pick<PreNormBlock, 'innerNorms'>>,
  x: Node,
  batch: number,
  rotary?: RotaryTables,
): readonly [Node, Node, Node] {
  const { graph } = tracer;
  const [first, ...others] = atLeast(
    qkv.map(module => tracer.linear(module, x)),
    1,
  );
  const all = others.length > 0 ? [first, ...others] : [0, 1, 2].map(i => graph.sliceAxis(first, 1, i * hiddenSize, hiddenSize));
  const [plainQ, plainK, v] = atLeast(all, 3);
  const [q, k] =
    innerNorms && innerEpsilon !== undefined
      ? [tracer.rmsNorm(innerNorms[0], plainQ, innerEpsilon), tracer.rmsNorm(innerNorms[1], plainK, innerEpsilon)]
      : [plainQ, plainK];
  const plain = (y: Node) => byHead(tracer, y, { batch, heads });
  const rotated = (y: Node) => (rotary ? tracer.keep(rotate(graph, splitHeads(graph, y, { batch, heads }), rotary)) : plain(y));
  return [rotated(q), rotated(k), plain(v)];
}
