/** Softmax attention in chunks of queries: the full score matrix is never in memory, and causal attention does half the work. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { product } from '../../product.ts';
import { sharedConstant } from '../shared-constant.ts';
import { softCap } from '../soft-cap.ts';
import type { AttentionMask, AttentionParams } from './attention-params.ts';
import { fusedAttention, fusedFormOf } from './fused-attention.ts';

export type { AttentionMask } from './attention-params.ts';

/** Low enough that its exp() is 0, high enough that a row with only hidden keys stays finite. */
export const HIDDEN = -1e9;

/** Queries per chunk. Longer sequences get more chunks; below 64 queries a product no longer keeps the hardware busy. */
export const queryChunk = (queries: number): number => Math.max(128, Math.ceil(queries / 8));

/** @returns [batch, heads, queries, valueDim] */
export function attention(graph: Graph, params: AttentionParams): Node {
  const { q, k, mask } = params;
  const form = params.fused ? fusedFormOf(params) : undefined;
  if (form) return fusedAttention(graph, params, form);
  const queries = q.shape[2] as number;
  const keys = k.shape[2] as number;
  const causal = mask.kind === 'causal' || (mask.kind === 'bias' && mask.causal);
  const parts: Node[] = [];
  for (let begin = 0; begin < queries; begin += params.chunk) {
    const size = Math.min(params.chunk, queries - begin);
    parts.push(attendChunk(graph, params, { begin, size, seen: causal ? begin + size : keys }));
  }
  return graph.concat(parts, 2);
}

/**
 * Attends with one chunk of queries. With P the softmax, O = P·V and D = Σ dO∘O over the head's features:
 * dV = Pᵀ·dO, dS = P∘(dO·Vᵀ − D), dQ = dS·K, dK = dSᵀ·Q (the backward pass of FlashAttention, Dao et al. 2022, eq. 4).
 * A sink takes part in the softmax but has no value, so with its probability P, its score's gradient is −P·D.
 * With a mask M on P: O = (P∘M)·V, dV = (P∘M)ᵀ·dO, dS = P∘(M∘(dO·Vᵀ) − D), and D is still Σ dO∘O.
 */
function attendChunk(graph: Graph, params: AttentionParams, part: { begin: number; size: number; seen: number }): Node {
  const { q, k, v, scale, compute = 'float32' } = params;
  const [batch, heads, , dim] = dimensions(q.shape, 4);
  const kvHeads = k.shape[1] as number;
  const rows = (heads / kvHeads) * part.size;
  const fold = (x: Node, width: number) => graph.reshape(x, [x.shape[0] as number, kvHeads, rows, width]);
  const factor = (x: Node) => graph.cast(x, compute);
  const queries = graph.mul(fold(graph.sliceAxis(q, 2, part.begin, part.size), dim), scale);
  const keys = graph.sliceAxis(k, 2, 0, part.seen);
  const values = graph.sliceAxis(v, 2, 0, part.seen);
  const [ownQueries, ownKeys, ownValues] = [factor(queries), factor(keys), factor(values)];
  const plain = graph.within({ cheap: true }, () => product(graph, compute, ownQueries, ownKeys, { transposeB: true }));
  const capped = params.cap === undefined ? undefined : softCap(graph, plain, params.cap);
  const products = capped?.y ?? plain;
  const samples = params.scores?.shape[0] as number;
  const own = params.scores && fold(graph.slice(params.scores, [0, 0, part.begin, 0], [samples, heads, part.size, part.seen]), part.seen);
  const seen = hide(graph, own ? graph.add(products, own) : products, params.mask, part, heads);
  const all = graph.softmax(params.sinks ? withSinks(graph, seen, params.sinks, part.size) : seen);
  const p = factor(graph.sliceAxis(all, -1, 0, part.seen));
  const sunk = params.sinks && graph.sliceAxis(all, -1, part.seen, 1);
  const drop = params.dropMask?.(p.shape);
  const wide = (x: Node) => graph.cast(x, 'float32');
  const dropped = (probabilities: Node, mask: Node | undefined) => (mask ? factor(graph.mul(wide(probabilities), mask)) : probabilities);
  const out = product(graph, compute, dropped(p, drop), ownValues);
  out.custom = {
    inputs: [queries, keys, values, ...(own ? [own] : []), ...(params.sinks ? [params.sinks] : [])],
    rule: ({ dy, wants, value }) => {
      const probabilities = value(p);
      const mask = drop && value(drop);
      const gradOut = factor(dy);
      const gradValues = wants(2) ? product(graph, compute, dropped(probabilities, mask), gradOut, { transposeA: true }) : undefined;
      const sinkAt = own ? 4 : 3;
      const wantsSinks = sunk !== undefined && wants(sinkAt);
      if (!wants(0) && !wants(1) && !(own && wants(3)) && !wantsSinks) return [undefined, undefined, gradValues];
      const outputDot = graph.sum(graph.mul(dy, value(out)), [-1], true);
      const ofHeads = (x: Node) => graph.sum(graph.reshape(x, [batch, heads, part.size]), [0, 2]);
      const gradSinks = wantsSinks ? graph.neg(ofHeads(graph.mul(value(sunk), outputDot))) : undefined;
      const gradP = product(graph, compute, gradOut, value(ownValues), { transposeB: true });
      const gradScores = graph.mul(wide(probabilities), graph.sub(mask ? graph.mul(gradP, mask) : gradP, outputDot));
      const gradProducts = factor(capped ? graph.mul(gradScores, capped.slope(value)) : gradScores);
      return [
        wants(0) ? product(graph, compute, gradProducts, value(ownKeys)) : undefined,
        wants(1) ? product(graph, compute, gradProducts, value(ownQueries), { transposeA: true }) : undefined,
        gradValues,
        ...(own ? [wants(3) ? (samples === batch ? gradScores : graph.sum(gradScores, [0], true)) : undefined] : []),
        gradSinks,
      ];
    },
  };
  return graph.reshape(out, [batch, heads, part.size, v.shape[3] as number]);
}

/** Appends the score of the head's sink to the scores of each query, [batch, kvHeads, group · size, seen]. */
function withSinks(graph: Graph, scores: Node, sinks: Node, size: number): Node {
  const [batch, kvHeads, rows] = dimensions(scores.shape, 4);
  const column = graph.broadcast(graph.reshape(sinks, [1, kvHeads, rows / size, 1]), [batch, kvHeads, rows / size, size]);
  return graph.concat([scores, graph.reshape(column, [batch, kvHeads, rows, 1])], 3);
}

/** Adds the mask to the scores [batch, kvHeads, group · size, seen], so that hidden keys get very low scores. */
function hide(graph: Graph, scores: Node, mask: AttentionMask, part: { begin: number; size: number; seen: number }, heads: number): Node {
  const { begin, size, seen } = part;
  const [batch, kvHeads, rows] = dimensions(scores.shape, 4);
  switch (mask.kind) {
    case 'all':
      return scores;
    case 'causal': {
      const flat = graph.reshape(scores, [batch * heads, size, seen]);
      return graph.reshape(graph.add(flat, causalBias(graph, begin, size, seen)), [batch, kvHeads, rows, seen]);
    }
    case 'bias': {
      // All layers share it, so it belongs to no block and is kept for the backward pass.
      const perHead = graph.within({ block: -1 }, () => {
        const [rows, queries] = dimensions(mask.bias.shape, 3);
        const part =
          queries === 1 ? graph.slice(mask.bias, [0, 0, 0], [rows, 1, seen]) : graph.slice(mask.bias, [0, begin, 0], [rows, size, seen]);
        const whole = mask.causal ? graph.add(part, causalBias(graph, begin, size, seen)) : part;
        return graph.reshape(whole, [rows, 1, whole.shape[1] as number, seen]);
      });
      return graph.reshape(graph.add(graph.reshape(scores, [batch, heads, size, seen]), perHead), [batch, kvHeads, rows, seen]);
    }
  }
}

/** [size, seen]: query i, at position begin + i, attends to keys 0 … begin + i. */
function causalBias(graph: Graph, begin: number, size: number, seen: number): Node {
  return sharedConstant(graph, `causal ${begin} ${size} ${seen}`, [size, seen], () => {
    const bias = new Float32Array(size * seen);
    for (let i = 0; i < size; i++) bias.fill(HIDDEN, i * seen + begin + i + 1, (i + 1) * seen);
    return bias;
  });
}
