/** Self-attention of an encoder: every token attends to every real token. */

import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import type { ModuleSpec } from '../../module-specs.ts';
import type { Tracer } from '../../tracer.ts';
import { type RotaryTables, rotate } from '../positions/rotary.ts';
import { type AttentionMask, attention, HIDDEN, queryChunk } from './attention.ts';

export interface AttentionModules {
  readonly q: ModuleSpec;
  readonly k: ModuleSpec;
  readonly v: ModuleSpec;
}

export interface SelfAttentionParams {
  readonly modules: AttentionModules;
  readonly heads: number;
  /** [batch · tokens, width]. */
  readonly x: Node;
  readonly batch: number;
  readonly mask: AttentionMask;
  /** Rotates queries and keys. */
  readonly rotary?: RotaryTables | undefined;
  /** See `AttentionParams.scores`. */
  readonly scores?: Node | undefined;
  readonly dropout: number;
}

/** @returns the outputs of the heads, [batch · tokens, width] */
export function selfAttention(tracer: Tracer, { modules, heads, x, batch, mask, rotary, scores, dropout }: SelfAttentionParams): Node {
  const { graph } = tracer;
  const project = (module: ModuleSpec) => splitHeads(graph, tracer.linear(module, x), { batch, heads });
  const placed = (y: Node) => tracer.keep(rotary ? rotate(graph, y, rotary) : y);
  const [q, k, v] = [placed(project(modules.q)), placed(project(modules.k)), tracer.keep(project(modules.v))];
  return attend(tracer, { q, k, v, mask, scores, dropout, scale: (q.shape[3] as number) ** -0.5 });
}

export interface AttendParams {
  /** Each [batch, heads, tokens, headDim]. */
  readonly q: Node;
  readonly k: Node;
  readonly v: Node;
  readonly mask: AttentionMask;
  readonly scale: number;
  /** See `AttentionParams.scores`. */
  readonly scores?: Node | undefined;
  readonly dropout: number;
  /** Queries per chunk; by default, as many as suit a training step. */
  readonly chunk?: number;
}

/** @returns [batch · tokens, heads · headDim] */
export function attend(tracer: Tracer, { q, k, v, mask, scale, scores, dropout, chunk: own }: AttendParams): Node {
  const { graph } = tracer;
  const [batch, heads, tokens, headDim] = dimensions(q.shape, 4);
  const dropMask = tracer.dropoutMask(dropout);
  const chunk = own ?? (tracer.longest === undefined ? queryChunk(tokens) : tokens);
  const out = attention(graph, { q, k, v, scale, mask, scores, chunk, dropMask, compute: tracer.compute, fused: tracer.fusesAttention });
  return graph.reshape(graph.transpose(out, [0, 2, 1, 3]), [batch * tokens, heads * headDim]);
}

/** [batch · tokens, heads · headDim] → [batch, heads, tokens, headDim]. */
export function splitHeads(graph: Graph, x: Node, { batch, heads }: { readonly batch: number; readonly heads: number }): Node {
  const [rows, width] = dimensions(x.shape, 2);
  return graph.transpose(graph.reshape(x, [batch, rows / batch, heads, width / heads]), [0, 2, 1, 3]);
}

/** Splits x into heads and keeps the result, which is the form that the backward pass reads. */
export const byHead = (tracer: Tracer, x: Node, sizes: { readonly batch: number; readonly heads: number }): Node =>
  tracer.keep(splitHeads(tracer.graph, x, sizes));

/** Hides padding; `seen` [batch, tokens] is 1 for real tokens. */
export function paddingMask(graph: Graph, seen: Node): AttentionMask & { kind: 'bias' } {
  const [batch, tokens] = dimensions(seen.shape, 2);
  const bias = graph.mul(graph.sub(graph.scalar(1), graph.reshape(seen, [batch, 1, tokens])), HIDDEN);
  return { kind: 'bias', bias, causal: false, meaning: { of: bias, seen } };
}
