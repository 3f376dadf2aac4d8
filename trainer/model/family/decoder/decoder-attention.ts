/** The attention of one block of a decoder: its modules, and their forward pass. */

import type { Node } from '../../../graph/graph.ts';
import { atLeast, elementAt } from '../../../narrow.ts';
import { type AttentionMask, attention, queryChunk } from '../../layer/attention.ts';
import { type RotaryTables, rotate } from '../../layer/rotary.ts';
import type { TokenInputs } from '../../model-spec.ts';
import { linearSpec, type ModuleSpec, normSpec, parameterSpec, withHeads } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import type { AttentionShape, DecoderConfig } from './decoder-config.ts';
import { products, withSections } from './decoder-products.ts';

export interface AttentionBlock {
  readonly shape: AttentionShape;
  /** Queries, keys and values: three layers, or one with all rows. */
  readonly qkv: readonly ModuleSpec[];
  readonly qNorm: ModuleSpec | undefined;
  readonly kNorm: ModuleSpec | undefined;
  readonly sinks: ModuleSpec | undefined;
  readonly o: ModuleSpec;
}

export function attentionBlock({ names, hiddenSize, norms, attention }: DecoderConfig, layer: number): AttentionBlock {
  const { heads, layers, biases, innerNorms } = attention;
  const shape = elementAt(layers, layer);
  const { kvHeads, headDim } = shape;
  const own = names.block(layer);
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const attends = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(name, { part: 'attention', layer }, out, width, biased);
  const makesHeads = (name: string, out: number) => withHeads(attends(name, out, hiddenSize, biases.qkv), { rows: headDim });
  const headNorm = (name: string, width: number) =>
    innerNorms ? normSpec(name, layer, innerNorms === 'heads' ? headDim : width, norms.offset) : undefined;
  return {
    shape,
    qkv:
      own.qkv === undefined
        ? [makesHeads(own.q, queries), makesHeads(own.k, keys), makesHeads(own.v, keys)]
        : [withSections(makesHeads(own.qkv, queries + 2 * keys), { q_proj: queries, k_proj: keys, v_proj: keys })],
    qNorm: headNorm(own.qNorm, queries),
    kNorm: headNorm(own.kNorm, keys),
    sinks: attention.sinks ? { ...parameterSpec(own.sinks, [heads]), part: 'attention', layer } : undefined,
    o: withHeads(attends(own.o, hiddenSize, queries, biases.output), { columns: headDim }),
  };
}

/** In the order of the forward pass. */
export const attentionModules = ({ qkv, qNorm, kNorm, sinks, o }: AttentionBlock): readonly (ModuleSpec | undefined)[] => [
  ...qkv,
  qNorm,
  kNorm,
  sinks,
  o,
];

/** How queries and keys are turned. */
export interface Turn {
  readonly tables: RotaryTables;
  /** Multiplies the queries. */
  readonly growth: Node | undefined;
}

export interface AttentionParams {
  readonly config: DecoderConfig;
  readonly layer: number;
  readonly batch: number;
  readonly tokens: number;
  /** Left out where queries and keys are not turned. */
  readonly turn: Turn | undefined;
  readonly mask: AttentionMask;
  readonly cache: TokenInputs['cache'];
}

/** x [batch · tokens, hidden] → the same shape. */
export function traceAttention(tracer: Tracer, block: AttentionBlock, x: Node, params: AttentionParams): Node {
  const { graph } = tracer;
  const { config, layer, batch, tokens, turn, mask, cache } = params;
  const { heads, dropout, scale, cap, innerNorms } = config.attention;
  const { kvHeads, headDim } = block.shape;
  const byHead = (y: Node, count: number) => graph.transpose(graph.reshape(y, [batch, tokens, count, headDim]), [0, 2, 1, 3]);
  const normed = (y: Node, norm: ModuleSpec | undefined, count: number) => {
    if (!norm) return y;
    const rows = innerNorms === 'heads' ? graph.reshape(y, [batch * tokens * count, headDim]) : y;
    return tracer.rmsNorm(norm, rows, config.norms.epsilon);
  };
  const turned = (product: () => Node, norm: ModuleSpec | undefined, count: number) => {
    const y = byHead(normed(product(), norm, count), count);
    return turn ? rotate(graph, y, turn.tables) : y;
  };
  const [makeQ, makeK, makeV] = atLeast(products(tracer, block.qkv, x, [heads * headDim, kvHeads * headDim, kvHeads * headDim]), 3);
  const queries = turned(makeQ, block.qNorm, heads);
  // Attention's gradient reads these forms, and no gradient reads the products that they come from.
  const q = tracer.keep(turn?.growth ? graph.mul(queries, turn.growth) : queries);
  const ownK = tracer.keep(turned(makeK, block.kNorm, kvHeads));
  const ownV = tracer.keep(byHead(makeV(), kvHeads));
  const { k, v } = cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  const out = attention(graph, {
    ...{ q, k, v, scale, mask },
    ...(cap !== undefined && { cap }),
    ...(block.sinks && { sinks: tracer.parameter(block.sinks.weight) }),
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(dropout),
    compute: tracer.compute,
    fused: tracer.fusesAttention,
  });
  return tracer.linear(block.o, graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * headDim]));
}
