/** Attention among the patches of an image, and blocks with gated MLPs around it, as several makers' towers have them. */

import type { Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { atLeast } from '../../../narrow.ts';
import { gatedActivation } from '../../layer/activation.ts';
import { attend, byHead, paddingMask, splitHeads } from '../../layer/attention/self-attention.ts';
import { type RotaryTables, rotate } from '../../layer/positions/rotary.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';

interface AxialParams {
  /** Base of the rotary positions. */
  readonly theta: number;
  readonly headDim: number;
  /** True if the frequencies of columns lie between those of rows; otherwise, they are the same. */
  readonly alternates?: boolean;
}

/** Tables in which the first half of the pairs rotates by a patch's row and the other by its column. Declares the feed `at` int32 [2, count]. */
export function axialTables({ graph }: Tracer, { theta, headDim, alternates = false }: AxialParams, count: number): RotaryTables {
  const quarter = headDim / 4;
  const at = graph.cast(graph.feed('at', [2, count], 'int32'), 'float32');
  const along = (axis: number, behind: number): Node => {
    const frequencies = Float32Array.from({ length: quarter }, (_, i) => theta ** (-(i + behind) / quarter));
    const places = graph.reshape(graph.sliceAxis(at, 0, axis, 1), [count, 1]);
    return graph.mul(places, graph.constant(frequencies, [1, quarter], 'float32'));
  };
  const angles = graph.concat([along(0, 0), along(1, alternates ? 0.5 : 0)], 1);
  return { cos: graph.cos(angles), sin: graph.sin(angles) };
}

/** Scores that are in memory at the same time, as far as the most chunks allow. */
const MAX_SCORES = 2 ** 26;
const MAX_CHUNKS = 64;

/** Queries per chunk of attention: nothing is kept for a backward pass, so large images take smaller chunks. */
export const queriesAtOnce = (heads: number, count: number): number =>
  Math.min(count, Math.max(128, Math.ceil(count / MAX_CHUNKS), Math.floor(MAX_SCORES / (heads * count))));

/** The parts of a block around its attention: a norm before that and before a gated MLP. The norms are root mean squares. */
export interface GatedMlp {
  readonly norm1: ModuleSpec;
  readonly norm2: ModuleSpec;
  readonly gate: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

/** A block with attention. */
export interface GatedBlock extends GatedMlp {
  /** Queries, keys and values, from three layers or from one. */
  readonly qkv: readonly ModuleSpec[];
  /** The norms of each head of queries and of keys. */
  readonly headNorms?: readonly [ModuleSpec, ModuleSpec];
  readonly o: ModuleSpec;
}

/** The modules in the order of the forward pass. */
export const gatedBlockModules = ({ norm1, qkv, headNorms, o, norm2, gate, up, down }: GatedBlock): ModuleSpec[] => [
  norm1,
  ...qkv,
  ...(headNorms ?? []),
  o,
  norm2,
  gate,
  up,
  down,
];

export interface GatedSizes {
  readonly hiddenSize: number;
  readonly heads: number;
  /** Heads of keys and values, if they are fewer. */
  readonly kvHeads?: number;
  readonly activation: string;
  readonly epsilon: number;
}

/** The patches that attend to each other: those of one of `batch` windows, or all. */
export interface Attended {
  readonly batch: number;
  /** [batch, patches] */
  readonly seen: Node;
  readonly rotary: RotaryTables;
}

/** x [patches, hiddenSize] → the same shape. */
export const gatedBlockStates = (tracer: Tracer, sizes: GatedSizes, block: GatedBlock, x: Node, attended: Attended): Node =>
  gatedStates(tracer, sizes, block, x, normal => attendPatches(tracer, sizes, block, normal, attended));

/**
 * x [patches, hiddenSize] → the same shape.
 * @param mix computes what is added to x before the MLP, from the output of the first norm
 */
export function gatedStates(
  tracer: Tracer,
  { activation, epsilon }: GatedSizes,
  block: GatedMlp,
  x: Node,
  mix: (normal: Node) => Node,
): Node {
  const { graph } = tracer;
  const middle = graph.add(x, mix(tracer.rmsNorm(block.norm1, x, epsilon)));
  const second = tracer.rmsNorm(block.norm2, middle, epsilon);
  const inner = gatedActivation(activation)(graph, tracer.linear(block.gate, second), tracer.linear(block.up, second));
  return graph.add(middle, tracer.linear(block.down, inner));
}

/** x [patches, hiddenSize] → the same shape. */
export function attendPatches(
  tracer: Tracer,
  { hiddenSize, heads, kvHeads = heads, epsilon }: GatedSizes,
  { qkv, headNorms, o }: Pick<GatedBlock, 'qkv' | 'headNorms' | 'o'>,
  x: Node,
  { batch, seen, rotary }: Attended,
): Node {
  const { graph } = tracer;
  const headDim = hiddenSize / heads;
  const [qNorm, kNorm] = headNorms ?? [];
  const normed = (y: Node, norm: ModuleSpec | undefined): Node => {
    if (!norm) return y;
    const [rows, width] = dimensions(y.shape, 2);
    return graph.reshape(tracer.rmsNorm(norm, graph.reshape(y, [(rows * width) / headDim, headDim]), epsilon), [rows, width]);
  };
  const rotated = (y: Node, count: number): Node => tracer.keep(rotate(graph, splitHeads(graph, y, { batch, heads: count }), rotary));
  const [first, ...others] = atLeast(
    qkv.map(module => tracer.linear(module, x)),
    1,
  );
  const all = others.length > 0 ? [first, ...others] : [0, 1, 2].map(i => graph.sliceAxis(first, 1, i * hiddenSize, hiddenSize));
  const [plainQ, plainK, plainV] = atLeast(all, 3);
  const [q, k] = [rotated(normed(plainQ, qNorm), heads), rotated(normed(plainK, kNorm), kvHeads)];
  const v = byHead(tracer, plainV, { batch, heads: kvHeads });
  // Without the meaning of the bias, which kernels take if padding comes last.
  const mask = { kind: 'bias', bias: paddingMask(graph, seen).bias, causal: false } as const;
  const chunk = queriesAtOnce(batch * heads, seen.shape[1] as number);
  return tracer.linear(o, attend(tracer, { q, k, v, mask, scale: headDim ** -0.5, dropout: 0, chunk }));
}
