/** A lowering: how one graph operation becomes TensorFlow operations. */

import type { OpAttributes, OpName } from '../../graph/attributes.ts';
import type { Node } from '../../graph/node-store.ts';
import { elementAt } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';

export interface LoweringContext<Op extends OpName> {
  readonly node: Node<Op>;
  readonly attrs: OpAttributes[Op];
  /** Names of the inputs' outputs, in order. */
  readonly inputs: readonly string[];
  readonly emitter: Emitter;
  /** Returns the handle of a variable. */
  handle(variable: string): string;
  /** Returns the element type of a variable. */
  variableType(variable: string): Node['dtype'];
  /** True if the products of `native/kernels/product.cc` are available. */
  readonly hasProducts: boolean;
  /** True if the kernels for columns and single elements of `native/operations/column-operations.cc` are available. */
  readonly hasColumns: boolean;
  /** True if the sums over processes of `native/operations/group-operations.cc` are available. */
  readonly hasSums: boolean;
  /** True if TensorFlow computes with bfloat16 itself; otherwise it has no such convolutions, and copies matrices in float32 for products. */
  readonly hasNarrowKernels: boolean;
}

/** Emits the operation; returns the name of its output, or undefined for an effect, whose token is created when something reads it. */
export type Lowering<Op extends OpName> = (context: LoweringContext<Op>) => string | undefined;

export type LoweringTable = { readonly [Op in OpName]: Lowering<Op> };

/** Returns input `i`. The graph's shape rules guarantee that it exists. */
export const inputAt = ({ node }: { readonly node: Node }, i: number): Node => elementAt(node.inputs, i);
