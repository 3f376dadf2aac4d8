/** Attention among the patches of an image, and blocks with gated MLPs around it, as several makers' towers have them. */

import type { Node } from '../../graph/graph.ts';
import { projections } from '../family/image/image-block.ts';
import { gatedActivation } from '../layer/activation.ts';
import { attend, paddingMask } from '../layer/attention/self-attention.ts';
import type { RotaryTables } from '../layer/positions/rotary.ts';
import type { ModuleSpec } from '../module-specs.ts';
import type { Tracer } from '../tracer.ts';

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

/** A block with a norm before attention and before a gated MLP; the norms are root mean squares. */
export interface GatedBlock {
  readonly norm1: ModuleSpec;
  /** Queries, keys and values, from three layers or from one. */
  readonly qkv: readonly ModuleSpec[];
  readonly o: ModuleSpec;
  readonly norm2: ModuleSpec;
  readonly gate: ModuleSpec;
  readonly up: ModuleSpec;
  readonly down: ModuleSpec;
}

/** The modules in the order of the forward pass. */
export const gatedBlockModules = ({ norm1, qkv, o, norm2, gate, up, down }: GatedBlock): ModuleSpec[] => [
  norm1,
  ...qkv,
  o,
  norm2,
  gate,
  up,
  down,
];

export interface GatedSizes {
  readonly hiddenSize: number;
  readonly heads: number;
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
export function gatedBlockStates(
  tracer: Tracer,
  { hiddenSize, heads, activation, epsilon }: GatedSizes,
  block: GatedBlock,
  x: Node,
  { batch, seen, rotary }: Attended,
): Node {
  const { graph } = tracer;
  const normal = tracer.rmsNorm(block.norm1, x, epsilon);
  const [q, k, v] = projections(tracer, { heads, hiddenSize }, block, normal, batch, rotary);
  // Without the meaning of the bias, which kernels take if padding comes last.
  const mask = { kind: 'bias', bias: paddingMask(graph, seen).bias, causal: false } as const;
  const chunk = queriesAtOnce(batch * heads, seen.shape[1] as number);
  const attended = attend(tracer, { q, k, v, mask, scale: (hiddenSize / heads) ** -0.5, dropout: 0, chunk });
  const middle = graph.add(x, tracer.linear(block.o, attended));
  const second = tracer.rmsNorm(block.norm2, middle, epsilon);
  const inner = gatedActivation(activation)(graph, tracer.linear(block.gate, second), tracer.linear(block.up, second));
  return graph.add(middle, tracer.linear(block.down, inner));
}
