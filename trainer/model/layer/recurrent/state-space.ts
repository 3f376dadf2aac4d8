/** The selective state space of Mamba-2 in its dual form, chunk by chunk (Dao & Gu 2024, "Transformers are SSMs", section 6). */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { HIDDEN } from '../attention/attention.ts';
import { sharedConstant } from '../shared-constant.ts';
import { CHUNK, type ChunkSizes, chunkSizes, futureMask, sumUp, type TextBounds, textBounds } from './chunks.ts';
import { matrix } from './triangular-inverse.ts';

export interface StateSpaceParams {
  /** X [batch, tokens, heads · valueDim]. */
  readonly x: Node;
  /** B and C [batch, tokens, groups · stateDim]. The number of heads is a multiple of the groups; neighboring heads share one group. */
  readonly b: Node;
  readonly c: Node;
  /** The logarithm of the share of the state that remains after each token, at most 0: [batch, tokens, heads]. */
  readonly decay: Node;
  /** The share of its value that each token writes: [batch, tokens, heads]. */
  readonly rate: Node;
  readonly groups: number;
  /**
   * int32 [batch, tokens]: the position of each token in its text, if several texts follow each other. Each text starts from an empty
   * state.
   */
  readonly positions?: Node | undefined;
  /** The state before the first token, [batch, groups, stateDim, heads / groups · valueDim]; zeros by default. No gradient flows to it. */
  readonly state?: Node | undefined;
  /** Tokens per chunk, at most `CHUNK`. It changes the results only by rounding. */
  readonly chunk: number;
}

export interface StateSpace {
  /** [batch, tokens, heads · valueDim]. */
  readonly y: Node;
  /** The state after the last token, in the shape of `state`. */
  readonly last: () => Node;
}

/**
 * y_t = S_tᵀ·c_t with S_t = e^(decay_t)·S₍t₋₁₎ + rate_t·b_t·x_tᵀ for each head.
 *
 * Within a chunk let s be the sum of decays up to a token, and L_ij = e^(s_i − s_j) for j ≤ i. With U = rate ∘ X and the state S before the
 * chunk, the chunk yields e^s ∘ (C·S) + (C·Bᵀ ∘ L)·U, and adds Bᵀ·(L_last ∘ U) to the state. One product gives the states before all
 * chunks: the additions of earlier chunks, each times e to the sum of the decays since. B and C are never copied for the heads that share
 * them.
 */
export const stateSpace = (graph: Graph, params: StateSpaceParams): StateSpace =>
  graph.within({ cheap: true }, () => {
    const sizes = sizesOf(params);
    const parts = insideChunks(graph, params, sizes);
    const { state } = params;
    const isFirst = sizes.chunks === 1;
    if (isFirst && !state) return { y: natural(graph, parts.own, sizes), last: () => stateOf(graph, parts.added(), sizes) };
    const first = state && graph.reshape(state, [sizes.batch * sizes.groups, sizes.stateDim, sizes.width]);
    const states = isFirst && first ? first : statesBefore(graph, parts, sizes, first);
    const recalled = overTokens(graph, graph.matmul(parts.c, states), parts.carried, sizes);
    return {
      y: graph.add(ungrouped(graph, recalled, sizes), natural(graph, parts.own, sizes)),
      last: () => {
        const ofLast = (x: Node): Node => lastChunk(graph, x, sizes);
        return stateOf(graph, graph.add(remainder(graph, ofLast(states), parts.sums, sizes), ofLast(parts.added())), sizes);
      },
    };
  });

interface Sizes extends ChunkSizes {
  readonly groups: number;
  /** Heads per group, and the features of all of them. */
  readonly shared: number;
  readonly width: number;
  readonly stateDim: number;
  readonly valueDim: number;
  /** Chunks of all groups of all texts. */
  readonly parts: number;
}

function sizesOf({ x, b, rate, groups, chunk }: StateSpaceParams): Sizes {
  const [batch, tokens, features] = dimensions(x.shape, 3);
  const heads = rate.shape[2] as number;
  const own = chunkSizes(batch, heads, tokens, Math.min(chunk, CHUNK));
  return {
    ...own,
    groups,
    shared: heads / groups,
    width: features / groups,
    stateDim: (b.shape[2] as number) / groups,
    valueDim: features / heads,
    parts: batch * groups * own.chunks,
  };
}

/** The parts of a chunk that do not depend on the state. */
interface ChunkParts {
  /** C [parts, size, stateDim]. */
  readonly c: Node;
  /** Bᵀ·(L_last ∘ U), [parts, stateDim, width]. */
  readonly added: () => Node;
  /** (C·Bᵀ ∘ L)·U, [pieces, size, valueDim]. */
  readonly own: Node;
  /** s [pieces, size]. */
  readonly sums: Node;
  /** e^s [pieces, size]; 0 for tokens whose text began in this chunk. */
  readonly carried: Node;
  readonly bounds: TextBounds | undefined;
}

function insideChunks(graph: Graph, params: StateSpaceParams, sizes: Sizes): ChunkParts {
  const { batch, heads, tokens, size, chunks, pieces, groups, shared, stateDim, valueDim, width, parts } = sizes;
  const all = chunks * size;
  const whole = (x: Node): Node => graph.pad(x, [0, 0, 0], [0, all - tokens, 0]);
  const grouped = (x: Node, features: number): Node => {
    const split = graph.reshape(x, [batch, all, groups, features]);
    return graph.reshape(groups === 1 ? split : graph.transpose(split, [0, 2, 1, 3]), [parts, size, features]);
  };
  const [b, c] = [grouped(whole(params.b), stateDim), grouped(whole(params.c), stateDim)];
  const decay = graph.reshape(graph.transpose(whole(params.decay), [0, 2, 1]), [pieces, size]);
  const values = graph.reshape(whole(params.x), [batch * all * heads, valueDim]);
  const written = graph.mul(values, graph.reshape(whole(params.rate), [batch * all * heads, 1]));
  const byHead = graph.transpose(graph.reshape(written, [batch, all, heads, valueDim]), [0, 2, 1, 3]);
  const sums = sumUp(graph, decay);
  const bounds = params.positions && textBounds(graph, params.positions, sizes);
  const between = graph.sub(graph.reshape(sums, [pieces, size, 1]), graph.reshape(sums, [pieces, 1, size]));
  const left = graph.exp(graph.add(bounds ? bounds.hide(between) : between, futureMask(graph, size)));
  const alike = graph.reshape(graph.matmul(c, b, { transposeB: true }), [batch * groups, 1, chunks * size * size]);
  const within = graph.mul(graph.reshape(left, [batch * groups, shared, chunks * size * size]), alike);
  const atEnd = graph.reshape(graph.sliceAxis(left, 1, size - 1, 1), [pieces, size]);
  return {
    c,
    added: () => graph.matmul(b, overTokens(graph, grouped(written, width), atEnd, sizes), { transposeA: true }),
    own: graph.matmul(graph.reshape(within, [pieces, size, size]), graph.reshape(byHead, [pieces, size, valueDim])),
    sums,
    carried: bounds ? bounds.cut(graph.exp(sums)) : graph.exp(sums),
    bounds,
  };
}

/** x [parts, size, width] times one factor per head and token. @param by [pieces, size] */
function overTokens(graph: Graph, x: Node, by: Node, { batch, groups, shared, chunks, size, valueDim }: Sizes): Node {
  const transposed = graph.transpose(graph.reshape(by, [batch * groups, shared, chunks * size]), [0, 2, 1]);
  const rows = batch * groups * chunks * size;
  const scaled = graph.mul(graph.reshape(x, [rows, shared, valueDim]), graph.reshape(transposed, [rows, shared, 1]));
  return graph.reshape(scaled, x.shape);
}

/** Reorders groups, [parts, size, width], to [batch, tokens, heads · valueDim]. */
function ungrouped(graph: Graph, x: Node, { batch, groups, chunks, size, tokens, width }: Sizes): Node {
  const split = graph.reshape(x, [batch, groups, chunks * size, width]);
  const transposed = groups === 1 ? split : graph.transpose(split, [0, 2, 1, 3]);
  return graph.sliceAxis(graph.reshape(transposed, [batch, chunks * size, groups * width]), 1, 0, tokens);
}

/** Reorders heads, [pieces, size, valueDim], to [batch, tokens, heads · valueDim]. */
function natural(graph: Graph, x: Node, { batch, heads, chunks, size, tokens, valueDim }: Sizes): Node {
  const transposed = graph.transpose(graph.reshape(x, [batch, heads, chunks * size, valueDim]), [0, 2, 1, 3]);
  return graph.sliceAxis(graph.reshape(transposed, [batch, chunks * size, heads * valueDim]), 1, 0, tokens);
}

const stateOf = (graph: Graph, x: Node, { batch, groups, stateDim, width }: Sizes): Node =>
  graph.reshape(x, [batch, groups, stateDim, width]);

/** The last chunk of each text: [parts, stateDim, width] → [batch · groups, stateDim, width]. */
function lastChunk(graph: Graph, x: Node, { batch, groups, chunks, stateDim, width }: Sizes): Node {
  const all = graph.reshape(x, [batch * groups, chunks, stateDim * width]);
  return graph.reshape(graph.sliceAxis(all, 1, chunks - 1, 1), [batch * groups, stateDim, width]);
}

/** The remainder of a state after all chunks. @param state [batch · groups, stateDim, width] */
function remainder(graph: Graph, state: Node, sums: Node, { batch, groups, shared, chunks, size, stateDim, valueDim }: Sizes): Node {
  const all = graph.reshape(sums, [batch * groups, shared, chunks * size]);
  const left = graph.reshape(graph.exp(graph.sliceAxis(all, 2, chunks * size - 1, 1)), [batch * groups, 1, shared, 1]);
  return graph.reshape(graph.mul(graph.reshape(state, [batch * groups, stateDim, shared, valueDim]), left), state.shape);
}

/**
 * The states before all chunks, [parts, stateDim, width]: with T_z the sum of all decays before chunk z, Σ over s < z of e^(T_z − T₍s₊₁₎)
 * times what chunk s adds, and e^(T_z) of the first state.
 */
function statesBefore(graph: Graph, { added, sums, bounds }: ChunkParts, sizes: Sizes, first: Node | undefined): Node {
  const { batch, heads, size, chunks, groups, shared, stateDim, valueDim, parts } = sizes;
  const totals = graph.reshape(graph.sliceAxis(sums, 1, size - 1, 1), [batch * heads, chunks]);
  const upTo = sumUp(graph, totals);
  // The same values one chunk later, so that the difference between neighbors is exactly 0.
  const before = graph.sliceAxis(graph.pad(upTo, [0, 1], [0, 0]), 1, 0, chunks);
  const between = graph.sub(graph.reshape(before, [batch * heads, chunks, 1]), graph.reshape(upTo, [batch * heads, 1, chunks]));
  const earlier = sharedConstant(graph, `not earlier ${chunks}`, [chunks, chunks], () =>
    matrix(chunks, (i, j) => j >= i).map(isHidden => isHidden * HIDDEN),
  );
  const left = graph.exp(graph.add(bounds ? bounds.hideChunks(between) : between, earlier));
  const toHeads = (x: Node, count: number): Node => {
    const split = graph.reshape(x, [batch * groups, count * stateDim, shared, valueDim]);
    return graph.reshape(graph.transpose(split, [0, 2, 1, 3]), [batch * heads, count, stateDim * valueDim]);
  };
  const ofChunks = graph.matmul(left, toHeads(added(), chunks));
  const rest = first && graph.mul(toHeads(first, 1), graph.reshape(graph.exp(before), [batch * heads, chunks, 1]));
  const states = graph.reshape(rest ? graph.add(ofChunks, rest) : ofChunks, [batch * groups, shared, chunks * stateDim, valueDim]);
  return graph.reshape(graph.transpose(states, [0, 2, 1, 3]), [parts, stateDim, shared * valueDim]);
}
