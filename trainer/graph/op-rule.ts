/** The facts that the graph knows about an operation: its shape, its gradient, its cost, and how it treats buffers. */
import type { OpAttributes, OpName } from './attributes.ts';
import type { GraphBuilder } from './graph-builder.ts';
import type { BuildRule, IncomingGradient, Node } from './node-store.ts';
import type { TensorSpec } from './types.ts';

/** Some rows (int32 [r]) and some columns (int32 [c]) of a matrix. */
export interface Cross {
  readonly rows: Node;
  readonly columns: Node;
}

/** The gradients [r, in …] of rows and [out, c …] of columns as one flat tensor; where they meet, both have it. */
export function joinCross(graph: GraphBuilder, rows: Node, columns: Node): Node {
  const flat = (x: Node): Node => graph.reshape(x, [x.shape.reduce((n, d) => n * d, 1)]);
  return graph.concat([flat(rows), flat(columns)], 0);
}

/** The input of a gradient rule. Forward values are requested, so that only those that are needed are kept or recomputed. */
export interface GradientContext<Op extends OpName = OpName> extends IncomingGradient {
  readonly graph: GraphBuilder;
  readonly node: Node<Op>;
  /** Rows of input i toward which the gradient is asked for; undefined means all of it. */
  rows(i: number): Node | undefined;
  /** Rows and columns of input i toward which the gradient is asked for, as `joinCross` gives it; a rule may give all of it instead. */
  cross(i: number): Cross | undefined;
}

/** Gradients toward the inputs, in their order; undefined where none flows. */
export type GradientRule<Op extends OpName = OpName> = (context: GradientContext<Op>) => readonly (Node | undefined)[];

export interface OpRule<Op extends OpName> extends BuildRule<Op> {
  /** `null`: no gradient flows through this operation. */
  readonly gradient: GradientRule<Op> | null;
  /** Floating-point operations of one run. */
  readonly flops: (inputs: readonly TensorSpec[], output: TensorSpec, attrs: OpAttributes[Op]) => number;
  /** `view`: the output is the first input's buffer. `reuse`: it may take over a dying input's buffer of its size. `fresh`: neither. */
  readonly buffer: 'view' | 'reuse' | 'fresh';
  /** Inputs whose rule can give the gradient of chosen rows alone. */
  readonly rowAware?: readonly number[];
  /** True where row i of the output depends on row i of the input alone, so that a choice of rows passes through. */
  readonly rowwise?: boolean;
  /** True where it is worth keeping the result for the backward pass rather than computing it again. */
  readonly costly?: boolean;
}

/** One rule for each operation; a missing one does not compile. */
export type OpTable = { readonly [Op in OpName]: OpRule<Op> };
