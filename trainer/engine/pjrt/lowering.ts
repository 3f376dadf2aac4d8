/** The interface of a lowering: how one graph operation becomes StableHLO. */

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
  /** Returns the value of a variable after everything lowered so far. */
  get(variable: string): Value;
  /** Sets the value of a variable from here on. */
  set(variable: string, value: Value): void;
  feed(name: string): Value;
  /** The card that the program is compiled for; undefined for any other device. */
  readonly card: SplittingCard | undefined;
  /** Number of devices that run the program at the same time; undefined if it runs on one. */
  readonly replicas: number | undefined;
  /** Adds a constant that is too large for the module's text: it becomes an argument, stored on the device. */
  argument(spec: TensorSpec, value: () => HostArray): Value;
  /** Returns the results of a call that several nodes share, each using one of them: the call is emitted for the first node. */
  once(key: string, call: () => readonly Value[]): readonly Value[];
  /** Emits Philox4x32-10 (see `engine/portable/philox.ts`): 8 random 16-bit values from each block, ui32 [8 · blocks]. */
  randomBits(seed: Value, blocks: number): Value;
}

/** Emits the operation and returns its value. Effects return a scalar true. */
export type Lowering<Op extends OpName> = (context: LoweringContext<Op>) => Value;

export type LoweringTable = { readonly [Op in OpName]: Lowering<Op> };

/** The inputs of operations with one, two or three inputs; the graph's shape rules guarantee that they exist. */
export const one = (inputs: readonly Value[]): Value => elementAt(inputs, 0);
export const two = (inputs: readonly Value[]): readonly [Value, Value] => [elementAt(inputs, 0), elementAt(inputs, 1)];
export const three = (inputs: readonly Value[]): readonly [Value, Value, Value] => [...two(inputs), elementAt(inputs, 2)];

/** Computes a function of a bfloat16 tensor in 32 bits and rounds the result once. */
export function inFloat32({ emitter }: Pick<LoweringContext<OpName>, 'emitter'>, x: Value, compute: (wide: Value) => Value): Value {
  return x.type === 'bf16' ? emitter.convert(compute(emitter.convert(x, 'f32')), 'bf16') : compute(x);
}
