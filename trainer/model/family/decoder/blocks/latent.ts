/**
 * Multi-head latent attention (DeepSeek-V2, Liu et al. 2024, section 2.1): the keys and values of all heads are products of one short
 * vector per token. A part of each key, shared by all heads, carries the positions. Queries may also be computed from a short vector.
 */

import type { Node } from '../../../../graph/graph.ts';
import { lastOf } from '../../../../narrow.ts';
import { attention, queryChunk } from '../../../layer/attention/attention.ts';
import { deinterleavePairs, rotate } from '../../../layer/positions/rotary.ts';
import { linearSpec, type ModuleSpec, normSpec, type Stack, withHeads } from '../../../module-specs.ts';
import type { Tracer } from '../../../tracer.ts';
import type { AttentionParams } from './attention.ts';
import type { DecoderConfig, DecoderLatent } from './decoder-config.ts';

export interface LatentBlock {
  /** The product that computes the queries, after that of their short vector and its norm, if there is one. */
  readonly queries: ModuleSpec;
  readonly queryVector: { readonly down: ModuleSpec; readonly norm: ModuleSpec } | undefined;
  /** The short vector of keys and values, followed by the part of the keys that rotates. */
  readonly down: ModuleSpec;
  readonly norm: ModuleSpec;
  /** For each head the part of its keys that does not rotate, followed by its values. */
  readonly keysAndValues: ModuleSpec;
  readonly o: ModuleSpec;
}

/** Epsilon of the norms of the short vectors, added to the mean square, whatever the config's epsilon for other norms. */
export const LATENT_EPSILON = 1e-6;

export function latentBlock({ names, hiddenSize, attention }: DecoderConfig, latent: DecoderLatent, layer: number): LatentBlock {
  const { heads, biases } = attention;
  const { queryRank, rank, nopeDim, ropeDim, valueDim } = latent;
  const own = names.block(layer);
  const path = `${own.at}.self_attn`;
  const linear = (name: string, out: number, width: number, biased: boolean) =>
    linearSpec(name, { part: 'attention', layer }, out, width, biased);
  const makesHeads = (name: string, rows: number, width: number) => withHeads(linear(name, heads * rows, width, false), { rows });
  const keysAndValues = makesHeads(`${path}.kv_b_proj`, nopeDim + valueDim, rank);
  const [keys, values] = [`${path}.k_b_proj.weight`, `${path}.v_b_proj.weight`];
  const stack: Stack = { experts: heads, key: 'num_attention_heads', forms: [{ kind: 'heads', keys, values, keyRows: nopeDim }] };
  return {
    queries: makesHeads(queryRank === undefined ? own.q : `${path}.q_b_proj`, nopeDim + ropeDim, queryRank ?? hiddenSize),
    queryVector:
      queryRank === undefined
        ? undefined
        : {
            down: linear(`${path}.q_a_proj`, queryRank, hiddenSize, biases.qkv),
            norm: normSpec(`${path}.q_a_layernorm`, layer, queryRank),
          },
    down: linear(`${path}.kv_a_proj_with_mqa`, rank + ropeDim, hiddenSize, biases.qkv),
    norm: normSpec(`${path}.kv_a_layernorm`, layer, rank),
    keysAndValues: { ...keysAndValues, weight: { ...keysAndValues.weight, stack } },
    o: withHeads(linear(own.o, hiddenSize, heads * valueDim, biases.output), { columns: valueDim }),
  };
}

/** The modules in the order of the forward pass. */
export const latentModules = ({ queries, queryVector, down, norm, keysAndValues, o }: LatentBlock): ModuleSpec[] => [
  ...(queryVector ? [queryVector.down, queryVector.norm] : []),
  ...[queries, down, norm, keysAndValues, o],
];

export interface LatentParams extends AttentionParams {
  readonly latent: DecoderLatent;
  readonly block: LatentBlock;
}

/**
 * x [batch · tokens, hidden] → the same shape. A cache holds the keys and values of all heads, so that products of earlier tokens are not
 * computed again.
 */
export function traceLatent(tracer: Tracer, x: Node, params: LatentParams): Node {
  const { graph } = tracer;
  const { config, latent, block, layer, batch, tokens, rotary, mask, cache } = params;
  const { heads, dropout, scale, rotatesNeighbors } = config.attention;
  const { rank, nopeDim, ropeDim, valueDim } = latent;
  const byHead = (y: Node, count: number) =>
    graph.transpose(graph.reshape(y, [batch, tokens, count, lastOf(y.shape) / count]), [0, 2, 1, 3]);
  const rotated = (y: Node): Node =>
    rotary ? rotate(graph, rotatesNeighbors ? deinterleavePairs(graph, y, ropeDim) : y, rotary.tables) : y;
  const short = block.queryVector ? tracer.rmsNorm(block.queryVector.norm, tracer.linear(block.queryVector.down, x), LATENT_EPSILON) : x;
  const queries = byHead(tracer.linear(block.queries, short), heads);
  const placed = graph.concat([graph.sliceAxis(queries, -1, 0, nopeDim), rotated(graph.sliceAxis(queries, -1, nopeDim, ropeDim))], -1);
  // Attention's gradient reads these tensors; no gradient reads the products that they come from.
  const q = tracer.keep(rotary?.growth ? graph.mul(placed, rotary.growth) : placed);
  const down = tracer.linear(block.down, x);
  const made = byHead(
    tracer.linear(block.keysAndValues, tracer.rmsNorm(block.norm, graph.sliceAxis(down, -1, 0, rank), LATENT_EPSILON)),
    heads,
  );
  const shared = graph.broadcast(rotated(byHead(graph.sliceAxis(down, -1, rank, ropeDim), 1)), [batch, heads, tokens, ropeDim]);
  const ownK = tracer.keep(graph.concat([graph.sliceAxis(made, -1, 0, nopeDim), shared], -1));
  const ownV = tracer.keep(graph.sliceAxis(made, -1, nopeDim, valueDim));
  const { k, v } = cache?.(layer, ownK, ownV) ?? { k: ownK, v: ownV };
  const out = attention(graph, {
    ...{ q, k, v, scale, mask },
    chunk: queryChunk(tokens),
    dropMask: tracer.dropoutMask(dropout),
    compute: tracer.compute,
    fused: tracer.fusesAttention,
  });
  return tracer.linear(block.o, graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * valueDim]));
}
