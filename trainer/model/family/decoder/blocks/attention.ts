/** The attention of one block of a decoder: its modules, and their forward pass. */

import type { Node } from '../../../../graph/graph.ts';
import { elementAt, lastOf, required, valueFor } from '../../../../narrow.ts';
import { type AttentionMask, attention, queryChunk } from '../../../layer/attention/attention.ts';
import { rmsNorm } from '../../../layer/norm.ts';
import { deinterleavePairs, type RotaryTables, rotate } from '../../../layer/positions/rotary.ts';
import type { TokenInputs } from '../../../model-spec.ts';
import { linearSpec, type ModuleSpec, parameterSpec, withHeads } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { AttentionShape, DecoderAttention, DecoderConfig } from './decoder-config.ts';
import { type Norm, normed as normedBy, normModules, normOf } from './norms.ts';
import { products, productsByHead, withSections } from './products.ts';

export interface AttentionBlock {
  readonly shape: AttentionShape;
  /** True if later blocks read its keys and values. */
  readonly isShared: boolean;
  /** Queries, keys and values: three layers, or one with all rows; fewer if this block does not compute keys or values of its own. */
  readonly qkv: readonly ModuleSpec[];
  readonly qNorm: Norm;
  readonly kNorm: Norm;
  readonly sinks: ModuleSpec | undefined;
  /** Gates from a layer of their own: one for each head, or for each of its features. */
  readonly gates: ModuleSpec | undefined;
  readonly o: ModuleSpec;
}

export function attentionBlock(config: DecoderConfig, layer: number): AttentionBlock {
  const { names, hiddenSize, attention } = config;
  const { heads, layers, biases, innerNorms } = attention;
  const shape = elementAt(layers, layer);
  const { kvHeads, headDim, keysFrom } = shape;
  const own = names.block(layer);
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const perQuery = attention.gated === 'features' ? 2 : 1;
  const gateRows = attention.gated === 'heads' ? 1 : attention.gated === 'features apart' ? headDim : 0;
  const attends = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(name, { part: 'attention', layer }, out, width, biased);
  const makesHeads = (name: string, out: number, rows = headDim, biased = biases.qkv) =>
    withHeads(attends(name, out, hiddenSize, biased), { rows });
  const joined = (module: ModuleSpec) =>
    attention.joinsByHead ? module : withSections(module, { q_proj: queries, k_proj: keys, v_proj: keys });
  const inMemory = own.gatesInMemory === undefined ? {} : { inMemory: own.gatesInMemory };
  const headNorm = (name: string, width: number) =>
    innerNorms ? normOf(config, name, layer, innerNorms === 'whole' ? width : headDim) : undefined;
  return {
    shape,
    isShared: layers.some(each => each.keysFrom === layer),
    qkv:
      own.qkv === undefined
        ? sizesOf(attention, shape).map((size, i) =>
            makesHeads(elementAt([own.q, own.k, own.v], i), size, i === 0 ? perQuery * headDim : headDim),
          )
        : [joined(makesHeads(own.qkv, queries + 2 * keys, attention.joinsByHead ? 3 * headDim : headDim))],
    qNorm: headNorm(own.qNorm, queries),
    kNorm: keysFrom === undefined ? headNorm(own.kNorm, keys) : undefined,
    sinks: attention.sinks ? { ...parameterSpec(own.sinks, [heads]), part: 'attention', layer } : undefined,
    gates: gateRows > 0 ? { ...makesHeads(own.gates, heads * gateRows, gateRows, false), ...inMemory } : undefined,
    o: withHeads(attends(own.o, hiddenSize, queries, biases.output), { columns: headDim }),
  };
}

/** Number of features of queries (with their gates), keys and values, as far as this block computes them. */
function sizesOf({ heads, gated }: Pick<DecoderAttention, 'heads' | 'gated'>, shape: AttentionShape): number[] {
  const { kvHeads, headDim, keysFrom, valuesAreKeys } = shape;
  const [queries, keys] = [(gated === 'features' ? 2 : 1) * heads * headDim, kvHeads * headDim];
  if (keysFrom !== undefined) return [queries];
  return valuesAreKeys ? [queries, keys] : [queries, keys, keys];
}

/** The modules in the order of the forward pass. */
export const attentionModules = ({ qkv, qNorm, kNorm, sinks, gates, o }: AttentionBlock): readonly (ModuleSpec | undefined)[] => [
  ...qkv,
  ...normModules(qNorm),
  ...normModules(kNorm),
  sinks,
  gates,
  o,
];

/** How queries and keys are rotated. */
export interface RotaryInput {
  readonly tables: RotaryTables;
  /** Multiplies the queries. */
  readonly growth: Node | undefined;
}

/** Keys and values, each [batch, kvHeads, tokens, headDim]; with a cache, those of all cached tokens. */
export interface KeyValues {
  readonly k: Node;
  readonly v: Node;
}

export interface AttentionParams {
  readonly config: DecoderConfig;
  readonly layer: number;
  readonly batch: number;
  readonly tokens: number;
  /** Undefined if queries and keys are not rotated. */
  readonly rotary: RotaryInput | undefined;
  readonly mask: AttentionMask;
  readonly cache: TokenInputs['cache'];
  /** Keys and values that later blocks read, by the block that computes them, which adds them here. */
  readonly shared: Map<number, KeyValues>;
}

/** x [batch · tokens, hidden] → the same shape. */
export function traceAttention(tracer: Tracer, block: AttentionBlock, x: Node, params: AttentionParams): Node {
  const { graph } = tracer;
  const { config, layer, batch, tokens, rotary, mask, cache, shared } = params;
  const { heads, dropout, scale, cap, innerNorms, normsValues, gated, rotatesNeighbors, rotatesBackwards, dividesByLayer } =
    config.attention;
  const { kvHeads, headDim, keysFrom } = block.shape;
  const byHead = (y: Node, count: number) => graph.transpose(graph.reshape(y, [batch, tokens, count, headDim]), [0, 2, 1, 3]);
  const normed = (y: Node, norm: Norm, count: number) => {
    if (!norm) return y;
    return normedBy(tracer, config, norm, innerNorms === 'whole' ? y : graph.reshape(y, [batch * tokens * count, headDim]));
  };
  const rotated = (y: Node): Node => {
    if (!rotary) return y;
    const halves = rotatesNeighbors ? deinterleavePairs(graph, y, 2 * lastOf(rotary.tables.cos.shape)) : y;
    return rotate(graph, halves, rotary.tables, rotatesBackwards);
  };
  const normedAndRotated = (product: Node, norm: Norm, count: number) => {
    if (innerNorms !== 'rotated heads') return rotated(byHead(normed(product, norm, count), count));
    return graph.reshape(normed(rotated(byHead(product, count)), norm, count), [batch, count, tokens, headDim]);
  };
  const [makeQ, makeK, makeV] = config.attention.joinsByHead
    ? productsByHead(tracer, block.qkv, x, heads)
    : products(tracer, block.qkv, x, sizesOf(config.attention, block.shape));
  const product = required(makeQ, 'the queries')();
  // The queries of each head, followed by its gates.
  const part = (i: number): Node => {
    const each = graph.reshape(product, [batch * tokens, heads, 2 * headDim]);
    return graph.reshape(graph.sliceAxis(each, 2, i * headDim, headDim), [batch * tokens, heads * headDim]);
  };
  const queries = normedAndRotated(gated === 'features' ? part(0) : product, block.qNorm, heads);
  // Attention's gradient reads these tensors; no gradient reads the products that they come from.
  const q = tracer.keep(rotary?.growth ? graph.mul(queries, rotary.growth) : queries);
  const ownKeyValues = (): KeyValues => {
    const product = required(makeK, 'the keys')();
    const ownK = tracer.keep(normedAndRotated(product, block.kNorm, kvHeads), block.isShared);
    const values = byHead(makeV ? makeV() : product, kvHeads);
    const ownV = tracer.keep(normsValues ? rmsNorm(graph, { x: values, epsilon: config.norms.epsilon }) : values, block.isShared);
    return cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  };
  const { k, v } = keysFrom === undefined ? ownKeyValues() : valueFor(shared, keysFrom);
  if (block.isShared) shared.set(layer, { k, v });
  const out = attention(graph, {
    ...{ q, k, v, mask, scale: dividesByLayer ? scale / (layer + 1) : scale },
    ...(cap !== undefined && { cap }),
    ...(block.sinks && { sinks: tracer.parameter(block.sinks.weight) }),
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(dropout),
    compute: tracer.compute,
    fused: tracer.fusesAttention,
  });
  const attended = graph.transpose(out, [0, 2, 1, 3]);
  const byFeature = (y: Node): Node => graph.reshape(y, [batch * tokens, heads * headDim]);
  if (block.gates) {
    const gates = graph.reshape(graph.sigmoid(tracer.linear(block.gates, x)), [batch, tokens, heads, gated === 'heads' ? 1 : headDim]);
    return tracer.linear(block.o, byFeature(graph.mul(attended, gates)));
  }
  return tracer.linear(block.o, gated ? graph.mul(byFeature(attended), graph.sigmoid(part(1))) : byFeature(attended));
}
