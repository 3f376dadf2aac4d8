/** A lowering: how one graph operation becomes TensorFlow operations. */

import type { OpAttributes, OpName } from '../../graph/attributes.ts';
import type { Node } from '../../graph/node-store.ts';
import { elementAt } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';

export interface LoweringContext<Op extends OpName> {
  readonly node: Node<Op>;
  readonly attrs: OpAttributes[Op];
  /** Names of the inputs' outputs, in their order. */
  readonly inputs: readonly string[];
  readonly emitter: Emitter;
  /** The handle of a variable. */
  handle(variable: string): string;
  /** Element type of a variable. */
  variableType(variable: string): Node['dtype'];
  /** Are the products of `native/kernels/product.cc` there? */
  readonly hasProducts: boolean;
  /** Are the kernels of columns and single elements of `native/operations/column-operations.cc` there? */
  readonly hasColumns: boolean;
  /** Are the sums over processes of `native/operations/group-operations.cc` there? */
  readonly hasSums: boolean;
  /** Are there convolutions of bfloat16? */
  readonly hasNarrowConvolutions: boolean;
}

/** Emits the operation; gives the name of its output, or undefined for an effect, whose token is made when something reads it. */
export type Lowering<Op extends OpName> = (context: LoweringContext<Op>) => string | undefined;

export type LoweringTable = { readonly [Op in OpName]: Lowering<Op> };

/** The input at `i`. The graph's shape rules have checked that it is there. */
export const inputAt = ({ node }: { readonly node: Node }, i: number): Node => elementAt(node.inputs, i);
