/** The form of a lowering: how one graph operation becomes StableHLO. */

import type { OpAttributes, OpName } from '../../graph/attributes.ts';
import type { Node } from '../../graph/node-store.ts';
import type { HostArray, TensorSpec } from '../../graph/types.ts';
import type { SplittingCard } from '../../graph/xla-split-sums.ts';
import { elementAt } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './hlo-type.ts';

export interface LoweringContext<Op extends OpName> {
  readonly node: Node<Op>;
  readonly attrs: OpAttributes[Op];
  readonly inputs: readonly Value[];
  readonly emitter: Emitter;
  /** The value of a variable after everything lowered so far. */
  get(variable: string): Value;
  /** From here on the variable has this value. */
  set(variable: string, value: Value): void;
  feed(name: string): Value;
  /** The card that the program is compiled for; undefined for another device. */
  readonly card: SplittingCard | undefined;
  /** The devices that run the program at the same time; undefined where it is one by itself. */
  readonly replicas: number | undefined;
  /** A constant too large for the text of the module: it is an argument, and lies on the device. */
  argument(spec: TensorSpec, value: () => HostArray): Value;
  /** The results of a call that several nodes share, each of which takes one: it is made for the first of them. */
  once(key: string, call: () => readonly Value[]): readonly Value[];
  /** Philox4x32-10 (see `engine/portable/philox.ts`): 8 numbers of 16 bits from each block, ui32 [8 · blocks]. */
  randomBits(seed: Value, blocks: number): Value;
}

/** Emits the operation and returns its value. Effects return a scalar that is true. */
export type Lowering<Op extends OpName> = (context: LoweringContext<Op>) => Value;

export type LoweringTable = { readonly [Op in OpName]: Lowering<Op> };

/** Inputs of operations of one, two and three inputs; the graph's shape rules have checked that they are there. */
export const one = (inputs: readonly Value[]): Value => elementAt(inputs, 0);
export const two = (inputs: readonly Value[]): readonly [Value, Value] => [elementAt(inputs, 0), elementAt(inputs, 1)];
export const three = (inputs: readonly Value[]): readonly [Value, Value, Value] => [...two(inputs), elementAt(inputs, 2)];

/** Computes a bfloat16 tensor's function in 32 bits and rounds the result once. */
export function inFloat32({ emitter }: Pick<LoweringContext<OpName>, 'emitter'>, x: Value, compute: (wide: Value) => Value): Value {
  return x.type === 'bf16' ? emitter.convert(compute(emitter.convert(x, 'f32')), 'bf16') : compute(x);
}
