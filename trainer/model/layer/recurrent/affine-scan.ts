/** A linear recurrence of matrices from chunk to chunk. */
import type { Graph, Node } from '../../../graph/graph.ts';
import { dimensions } from '../../../graph/types.ts';
import { elementAt } from '../../../narrow.ts';

export interface AffineScanParams {
  /** A [count, chunks, rows, rows]. */
  readonly transitions: Node;
  /** B [count, chunks, rows, width]. */
  readonly additions: Node;
  /** S₀ [count, rows, width], zeros by default. No gradient flows to it. */
  readonly first: Node | undefined;
  /** Number of chunks up to which they are computed one after the other; more chunks are combined in pairs. */
  readonly inTurn?: number;
}

/** Steps one after the other: with 64 tokens per chunk, texts of 2,048 tokens. */
const IN_TURN = 32;

/**
 * The states before each chunk, S₀ and S₍c₊₁₎ = A_c·S_c + B_c: [count, chunks, rows, width]. The transition and the addition of the last
 * chunk are not read. With λ_c the gradient of S_c, which is dS_c + A_cᵀ·λ₍c₊₁₎: dB_c = λ₍c₊₁₎ and dA_c = λ₍c₊₁₎·S_cᵀ.
 */
export function affineScan(graph: Graph, { transitions, additions, first, inTurn = IN_TURN }: AffineScanParams): Node {
  const [count, chunks, rows, width] = dimensions(additions.shape, 4);
  const start = first ?? graph.zeros([count, rows, width]);
  if (chunks === 1) return graph.reshape(start, additions.shape);
  const all = scan(graph, { transitions, additions, start: first, inTurn, isTransposed: false });
  all.custom = {
    inputs: [transitions, additions],
    rule: ({ dy, wants, value }) => {
      // From back to front, the gradients follow a recurrence of the same form.
      const order = Array.from({ length: chunks }, (_, c) => Math.max(0, chunks - 2 - c));
      const reversed = scan(graph, {
        transitions: pick(graph, value(transitions), order),
        additions: pick(graph, dy, order),
        start: graph.reshape(graph.sliceAxis(dy, 1, chunks - 1, 1), [count, rows, width]),
        inTurn,
        isTransposed: true,
      });
      const slopes = pick(
        graph,
        reversed,
        Array.from({ length: chunks - 1 }, (_, c) => chunks - 2 - c),
      );
      const gradAdditions = graph.pad(slopes, [0, 0, 0, 0], [0, 1, 0, 0]);
      if (!wants(0)) return [undefined, gradAdditions];
      const flat = (x: Node): Node => graph.reshape(x, [count * chunks, rows, width]);
      const gradTransitions = graph.matmul(flat(gradAdditions), flat(value(all)), { transposeB: true });
      return [graph.reshape(gradTransitions, transitions.shape), wants(1) ? gradAdditions : undefined];
    },
  };
  return all;
}

const pick = (graph: Graph, x: Node, chunks: readonly number[]): Node =>
  graph.gather(x, graph.constant(Int32Array.from(chunks), [chunks.length], 'int32'), 1);

interface Scan {
  readonly transitions: Node;
  readonly additions: Node;
  readonly start: Node | undefined;
  readonly inTurn: number;
  /** True if the recurrence uses the transposes of the given transitions. */
  readonly isTransposed: boolean;
}

function scan(graph: Graph, params: Scan): Node {
  const chunks = params.additions.shape[1] as number;
  return chunks > params.inTurn ? scanPairs(graph, params) : scanInTurn(graph, params);
}

function scanInTurn(graph: Graph, { transitions, additions, start, isTransposed }: Scan): Node {
  const [count, chunks, rows, width] = dimensions(additions.shape, 4);
  const at = (x: Node, chunk: number, columns: number) => graph.reshape(graph.sliceAxis(x, 1, chunk, 1), [count, rows, columns]);
  const states: Node[] = [start ?? graph.zeros([count, rows, width])];
  for (let chunk = 0; chunk + 1 < chunks; chunk++) {
    const added = at(additions, chunk, width);
    const isZero = chunk === 0 && !start;
    const before = elementAt(states, chunk);
    states.push(isZero ? added : graph.add(graph.matmul(at(transitions, chunk, rows), before, { transposeA: isTransposed }), added));
  }
  return graph.concat(
    states.map(state => graph.reshape(state, [count, 1, rows, width])),
    1,
  );
}

/**
 * Computes every second state with the combined transition of two chunks, A₁·A₀ and A₁·B₀ + B₁, and the others from these (Blelloch 1990).
 * Each doubling of the chunks adds only a few operations.
 */
function scanPairs(graph: Graph, { transitions, additions, start, inTurn, isTransposed }: Scan): Node {
  const [count, chunks, rows, width] = dimensions(additions.shape, 4);
  const pairs = Math.ceil(chunks / 2);
  const halfOf = (x: Node, half: number, columns: number): Node => {
    const even = graph.pad(x, [0, 0, 0, 0], [0, 2 * pairs - chunks, 0, 0]);
    const apart = graph.reshape(even, [count, pairs, 2, rows * columns]);
    return graph.reshape(graph.sliceAxis(apart, 2, half, 1), [count * pairs, rows, columns]);
  };
  const [earlier, later] = [halfOf(transitions, 0, rows), halfOf(transitions, 1, rows)];
  const [earlierAdded, laterAdded] = [halfOf(additions, 0, width), halfOf(additions, 1, width)];
  const through = (transition: Node, x: Node): Node => graph.matmul(transition, x, { transposeA: isTransposed });
  const both = graph.matmul(later, earlier, { transposeA: isTransposed, transposeB: isTransposed });
  const even = scan(graph, {
    transitions: graph.reshape(both, [count, pairs, rows, rows]),
    additions: graph.reshape(graph.add(through(later, earlierAdded), laterAdded), [count, pairs, rows, width]),
    start,
    inTurn,
    isTransposed: false,
  });
  const odd = graph.add(through(earlier, graph.reshape(even, [count * pairs, rows, width])), earlierAdded);
  const apart = (x: Node): Node => graph.reshape(x, [count, pairs, 1, rows * width]);
  const all = graph.reshape(graph.concat([apart(even), apart(odd)], 2), [count, 2 * pairs, rows, width]);
  return graph.sliceAxis(all, 1, 0, chunks);
}
