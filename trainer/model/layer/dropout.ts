/** Dropout (Srivastava et al. 2014) drawn from a seed, so that a recomputed pass drops the same elements. */
import { type Graph, type Node, RANDOM_STEPS } from '../../graph/graph.ts';

export interface DropoutParams {
  /** Probability of dropping an element. */
  readonly rate: number;
  /** int32 [2], new for each step. */
  readonly seed: Node;
  /** Distinguishes the masks of one step. */
  readonly stream: number;
}

/**
 * bool: false with probability `rate`, rounded to a multiple of 1/65536. Takes one byte per element; kept for the backward pass, not drawn
 * twice.
 */
export function keepMask(graph: Graph, shape: readonly number[], { rate, seed, stream }: DropoutParams): Node {
  const own = graph.add(seed, graph.constant(Int32Array.of(0, stream), [2], 'int32'));
  const mask = graph.randomMask(own, shape, 1 - rate);
  mask.kept = true;
  return mask;
}

/** The scale of the kept values that preserves the mean: 1 / the share that is kept. */
export const keepScale = (rate: number): number => RANDOM_STEPS / Math.round((1 - rate) * RANDOM_STEPS);

/** 0 with probability `rate`, else 1 / (1 − rate). */
export const dropoutMask = (graph: Graph, shape: readonly number[], params: DropoutParams): Node =>
  graph.mul(graph.cast(keepMask(graph, shape, params), 'float32'), keepScale(params.rate));

/** x where the mask is true, else 0. */
export function masked(graph: Graph, x: Node, mask: Node): Node {
  const y = graph.select(mask, x, graph.scalar(0));
  y.custom = { inputs: [x], rule: ({ dy, value }) => [graph.select(value(mask), dy, graph.scalar(0))] };
  return y;
}

/** x with elements zeroed with probability `rate` and the others scaled by 1 / (1 − rate). */
export const dropout = (graph: Graph, x: Node, params: DropoutParams): Node =>
  graph.mul(masked(graph, x, keepMask(graph, x.shape, params)), keepScale(params.rate));

/** Uniform random values between 0 and 1, [count, 1], in steps of 1/65536: sixteen draws are the binary digits of each fraction. */
export function uniform(graph: Graph, count: number, params: Omit<DropoutParams, 'rate'>): Node {
  const digits = graph.cast(keepMask(graph, [count, 16], { ...params, rate: 0.5 }), 'float32');
  const worth = Float32Array.from({ length: 16 }, (_, i) => 2 ** -(i + 1));
  return graph.matmul(digits, graph.constant(worth, [16, 1], 'float32'));
}
