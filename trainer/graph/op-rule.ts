/** The facts that the graph knows about an operation: its shape, its gradient, its cost, and how it uses buffers. */
import type { OpAttributes, OpName } from './attributes.ts';
import type { GraphBuilder } from './graph-builder.ts';
import type { BuildRule, IncomingGradient, Node } from './node-store.ts';
import type { TensorSpec } from './types.ts';

/** Some rows (int32 [r]) and some columns (int32 [c]) of a matrix. */
export interface Cross {
  readonly rows: Node;
  readonly columns: Node;
}

/** Joins the gradients [r, in …] of rows and [out, c …] of columns into one flat tensor; elements where they intersect occur in both. */
export function joinCross(graph: GraphBuilder, rows: Node, columns: Node): Node {
  const flat = (x: Node): Node => graph.reshape(x, [x.shape.reduce((n, d) => n * d, 1)]);
  return graph.concat([flat(rows), flat(columns)], 0);
}

/** The input of a gradient rule. A rule requests forward values, so that only those that are needed are kept or recomputed. */
export interface GradientContext<Op extends OpName = OpName> extends IncomingGradient {
  readonly graph: GraphBuilder;
  readonly node: Node<Op>;
  /** Returns the rows of input i whose gradient is requested; undefined means all of them. */
  rows(i: number): Node | undefined;
  /**
   * Returns the rows and columns of input i whose gradient is requested, to be joined by `joinCross`; a rule may return the whole gradient
   * instead.
   */
  cross(i: number): Cross | undefined;
}

/** Returns the gradients of the inputs, in order; undefined for an input that gets none. */
export type GradientRule<Op extends OpName = OpName> = (context: GradientContext<Op>) => readonly (Node | undefined)[];

export interface OpRule<Op extends OpName> extends BuildRule<Op> {
  /** `null` if no gradient flows through this operation. */
  readonly gradient: GradientRule<Op> | null;
  /** Floating-point operations of one run. */
  readonly flops: (inputs: readonly TensorSpec[], output: TensorSpec, attrs: OpAttributes[Op]) => number;
  /**
   * `view`: the output shares the first input's buffer. `reuse`: it may take over the buffer of an input of its size that dies here.
   * `fresh`: neither.
   */
  readonly buffer: 'view' | 'reuse' | 'fresh';
  /** Inputs for which the rule can compute the gradient of chosen rows only. */
  readonly rowAware?: readonly number[];
  /** True if row i of the output depends only on row i of the input, so a choice of rows passes through. */
  readonly rowwise?: boolean;
  /** True if the result is worth keeping for the backward pass instead of recomputing it. */
  readonly costly?: boolean;
}

/** One rule per operation; a missing one is a compile error. */
export type OpTable = { readonly [Op in OpName]: OpRule<Op> };
