/** The gated delta rule, chunk by chunk (Yang et al. 2024, "Gated Delta Networks", section 3.3). */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { sharedConstant } from '../shared-constant.ts';
import { affineScan } from './affine-scan.ts';
import { CHUNK, type ChunkSizes, chunkSizes, futureMask, sumUp, textBounds } from './chunks.ts';
import { identity, matrix, unitLowerInverse } from './triangular-inverse.ts';

export interface DeltaRuleParams {
  /** [batch, keyHeads, tokens, keyDim]. */
  readonly q: Node;
  /** Same shape as q. */
  readonly k: Node;
  /** [batch, heads, tokens, valueDim]. The number of heads is a multiple of keyHeads; neighboring heads share one key head. */
  readonly v: Node;
  /** The logarithm of the share of the state that remains after each token, at most 0: [batch, heads, tokens]. */
  readonly decay: Node;
  /** The share that each token writes of the difference between its value and the value read: [batch, heads, tokens]. */
  readonly rate: Node;
  /**
   * int32 [batch, tokens]: the position of each token in its text, if several texts follow each other. Each text starts from an empty
   * state.
   */
  readonly positions?: Node | undefined;
  /** The state before the first token, [batch, heads, keyDim, valueDim]; zeros by default. No gradient flows to it. */
  readonly state?: Node | undefined;
  readonly chunk?: number;
  /** See `AffineScanParams`. */
  readonly inTurn?: number;
}

export interface DeltaRule {
  /** [batch, heads, tokens, valueDim]. */
  readonly y: Node;
  /** The state after the last token, [batch, heads, keyDim, valueDim]. */
  readonly last: () => Node;
}

/**
 * y_t = S_tᵀ·q_t with S_t = e^(decay_t)·(I − rate_t·k_t·k_tᵀ)·S₍t₋₁₎ + rate_t·k_t·v_tᵀ.
 *
 * Within a chunk let c be the sum of decays up to a token, D_ij = e^(c_i − c_j) for j ≤ i, and T the inverse of I + (rate ∘ K·Kᵀ ∘ D) below
 * the diagonal. With U = T·(rate ∘ V), W = T·(rate ∘ e^c ∘ K) and the state S before the chunk, the chunk yields
 * e^c ∘ (Q·S) + (Q·Kᵀ ∘ D)·(U − W·S), and the next state is e^(c_last)·S + (D_last ∘ K)ᵀ·(U − W·S).
 * Products within chunks are computed for all chunks at once. Even under a recompute policy that keeps products, all of them are
 * recomputed.
 */
export const deltaRule = (graph: Graph, params: DeltaRuleParams): DeltaRule =>
  graph.within({ cheap: true }, () => {
    const sizes = sizesOf(params);
    const parts = insideChunks(graph, params, sizes);
    return sizes.chunks === 1 && !params.state ? fromNothing(graph, parts, sizes) : fromStates(graph, parts, sizes, params);
  });

interface Sizes extends ChunkSizes {
  readonly keyHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

function sizesOf({ k, v, chunk = CHUNK }: DeltaRuleParams): Sizes {
  const [batch, keyHeads, tokens, keyDim] = dimensions(k.shape, 4);
  const [, heads, , valueDim] = dimensions(v.shape, 4);
  return { ...chunkSizes(batch, heads, tokens, chunk), keyHeads, keyDim, valueDim };
}

/** The parts of a chunk that do not depend on the state, with all pieces along the first axis. */
interface ChunkParts {
  /** Q and K, [pieces, size, keyDim]. */
  readonly queries: Node;
  readonly keys: Node;
  /** U, [pieces, size, valueDim]. */
  readonly fresh: Node;
  /** W, [pieces, size, keyDim]. */
  readonly read: () => Node;
  /** Q·Kᵀ ∘ D, [pieces, size, size]. */
  readonly within: Node;
  /** e^c, [pieces, size, 1]; 0 for tokens whose text began in this chunk. */
  readonly carried: Node;
  /** D_last ∘ K, [pieces, size, keyDim]. */
  readonly remaining: Node;
}

function insideChunks(graph: Graph, { q, k, v, decay, rate, positions }: DeltaRuleParams, sizes: Sizes): ChunkParts {
  const { batch, keyHeads, keyDim, valueDim, size, chunks, pieces } = sizes;
  const whole = (x: Node): Node => {
    const none = x.shape.map(() => 0);
    return graph.pad(x, none, none.with(2, chunks * size - sizes.tokens));
  };
  const ofKeys = (x: Node): Node => graph.reshape(whole(x), [batch * keyHeads * chunks, size, keyDim]);
  const [q3, k3, values] = [ofKeys(q), ofKeys(k), graph.reshape(whole(v), [pieces, size, valueDim])];
  const rates = graph.reshape(whole(rate), [pieces, size]);
  const [down, across] = [(x: Node) => graph.reshape(x, [pieces, size, 1]), (x: Node) => graph.reshape(x, [pieces, 1, size])];
  const sums = sumUp(graph, graph.reshape(whole(decay), [pieces, size]));
  const bounds = positions && textBounds(graph, positions, sizes);
  const left = graph.exp(
    graph.add(bounds ? bounds.hide(graph.sub(down(sums), across(sums))) : graph.sub(down(sums), across(sums)), futureMask(graph, size)),
  );
  const carried = bounds ? bounds.cut(graph.exp(sums)) : graph.exp(sums);
  const alike = forHeads(graph, graph.matmul(k3, k3, { transposeB: true }), sizes);
  const inverse = unitLowerInverse(graph, graph.mul(graph.mul(graph.mul(alike, left), down(rates)), below(graph, size)));
  const keys = forHeads(graph, k3, sizes);
  return {
    queries: forHeads(graph, q3, sizes),
    keys,
    fresh: graph.matmul(graph.mul(inverse, across(rates)), values),
    read: () => graph.matmul(graph.mul(inverse, across(graph.mul(rates, carried))), keys),
    within: graph.mul(forHeads(graph, graph.matmul(q3, k3, { transposeB: true }), sizes), left),
    carried: down(carried),
    remaining: graph.mul(keys, down(graph.sliceAxis(left, 1, size - 1, 1))),
  };
}

/** Expands the pieces of key heads, [batch · keyHeads · chunks, rows, columns], to those of all heads. */
function forHeads(graph: Graph, x: Node, { batch, keyHeads, heads, chunks, pieces }: Sizes): Node {
  if (heads === keyHeads) return x;
  const [, rows, columns] = dimensions(x.shape, 3);
  const each = graph.reshape(x, [batch * keyHeads, 1, chunks * rows * columns]);
  return graph.reshape(graph.broadcast(each, [batch * keyHeads, heads / keyHeads, chunks * rows * columns]), [pieces, rows, columns]);
}

/** [pieces, size, valueDim] → [batch, heads, tokens, valueDim]. */
const uncut = (graph: Graph, y: Node, { batch, heads, chunks, size, tokens, valueDim }: Sizes): Node =>
  graph.sliceAxis(graph.reshape(y, [batch, heads, chunks * size, valueDim]), 2, 0, tokens);

const stateOf = (graph: Graph, x: Node, { batch, heads, keyDim, valueDim }: Sizes): Node =>
  graph.reshape(x, [batch, heads, keyDim, valueDim]);

/** Computes a single chunk that starts from an empty state. */
function fromNothing(graph: Graph, { within, fresh, remaining }: ChunkParts, sizes: Sizes): DeltaRule {
  return {
    y: uncut(graph, graph.matmul(within, fresh), sizes),
    last: () => stateOf(graph, graph.matmul(remaining, fresh, { transposeA: true }), sizes),
  };
}

function fromStates(graph: Graph, parts: ChunkParts, sizes: Sizes, { state, inTurn }: DeltaRuleParams): DeltaRule {
  const { queries, fresh, within, carried, remaining } = parts;
  const { batch, heads, keyDim, valueDim, size, chunks, pieces } = sizes;
  const read = parts.read();
  const first = state && graph.reshape(state, [batch * heads, keyDim, valueDim]);
  const atEnd = graph.sliceAxis(carried, 1, size - 1, 1);
  const byChunk = (x: Node, width: number): Node => graph.reshape(x, [batch * heads, chunks, keyDim, width]);
  const intoState = (x: Node): Node => graph.matmul(remaining, x, { transposeA: true });
  const between = (): Node =>
    affineScan(graph, {
      transitions: byChunk(graph.sub(graph.mul(identity(graph, keyDim), atEnd), intoState(read)), keyDim),
      additions: byChunk(intoState(fresh), valueDim),
      first,
      ...(inTurn !== undefined && { inTurn }),
    });
  const states = chunks === 1 && first ? first : graph.reshape(between(), [pieces, keyDim, valueDim]);
  const written = graph.sub(fresh, graph.matmul(read, states));
  const recalled = graph.mul(graph.matmul(queries, states), carried);
  const ofLast = (x: Node): Node => {
    const [, rows, columns] = dimensions(x.shape, 3);
    const all = graph.reshape(x, [batch * heads, chunks, rows * columns]);
    return graph.reshape(graph.sliceAxis(all, 1, chunks - 1, 1), [batch * heads, rows, columns]);
  };
  return {
    y: uncut(graph, graph.add(recalled, graph.matmul(within, written)), sizes),
    last: () => {
      const added = graph.matmul(ofLast(remaining), ofLast(written), { transposeA: true });
      return stateOf(graph, graph.add(graph.mul(ofLast(states), ofLast(atEnd)), added), sizes);
    },
  };
}

/** [size, size], 1 where the column is earlier than the row. */
const below = (graph: Graph, size: number): Node =>
  sharedConstant(graph, `below ${size}`, [size, size], () => matrix(size, (i, j) => j < i));
