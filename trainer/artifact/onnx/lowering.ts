/** The form of a lowering, which turns one graph operation into ONNX nodes. */
import type { OpAttributes, OpName } from '../../graph/attributes.ts';
import type { Node } from '../../graph/node-store.ts';
import { elementAt } from '../../narrow.ts';
import { ExportError } from '../export-error.ts';
import type { Emitter, Value } from './emitter.ts';
import type { Size } from './size.ts';

export interface LoweringContext<Op extends OpName> {
  readonly emitter: Emitter;
  /** The attributes of the operation in the trace of the longest text; read sizes among them through `sizes`. */
  readonly attrs: OpAttributes[Op];
  readonly inputs: readonly Value[];
  /** The shape of the operation's output. */
  readonly shape: readonly Size[];
  /** Returns numbers of a node that may depend on the sizes of the input. */
  sizes(of: (node: Node<Op>) => readonly number[]): readonly Size[];
  /** Returns the value of a feed. */
  feed(name: string): string;
  /** Returns a weight of the model. */
  weight(name: string): string;
  /** The node in the shortest trace, and in that of the longest text. */
  readonly traced: { readonly short: Node<Op>; readonly long: Node<Op> };
}

/** Emits the operation and returns the name of its output. */
export type Lowering<Op extends OpName> = (context: LoweringContext<Op>) => string;

export type LoweringTable = { readonly [Op in OpName]: Lowering<Op> };

/** Refuses an operation that no forward pass of an exported model has. @param where the place where it is used */
export const refused =
  (op: OpName, where: string): (() => never) =>
  () => {
    throw new ExportError(`the operation "${op}" (${where}) is not written to ONNX: export the model as merged`);
  };

/** The names of one, two and three inputs; the graph's shape rules have checked that they exist. */
export const one = (inputs: readonly Value[]): string => elementAt(inputs, 0).name;
export const two = (inputs: readonly Value[]): [string, string] => [one(inputs), elementAt(inputs, 1).name];
export const three = (inputs: readonly Value[]): [string, string, string] => [...two(inputs), elementAt(inputs, 2).name];
