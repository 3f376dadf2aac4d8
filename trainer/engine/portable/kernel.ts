/** A kernel: the code that runs one graph operation on tfjs tensors. */

import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { OpAttributes, OpName } from '../../graph/attributes.ts';
import type { HostArray } from '../../graph/types.ts';
import { elementAt } from '../../narrow.ts';
import { EngineError } from '../engine.ts';
import type { VariableStore } from './variable-store.ts';

export interface KernelCall<Op extends OpName> {
  readonly inputs: readonly Tensor[];
  readonly attrs: OpAttributes[Op];
  readonly variables: VariableStore;
  readonly feeds: Readonly<Record<string, HostArray>>;
}

/** Runs inside `tf.tidy`: tensors that it creates and does not return are freed. May return one of its inputs. */
export interface DeviceKernel<Op extends OpName> {
  readonly device: (call: KernelCall<Op>) => Tensor;
}

/** Runs in TypeScript on downloaded inputs, for results that must be bit-identical on every backend. */
export interface HostKernel<Op extends OpName> {
  readonly host: (inputs: readonly HostArray[], attrs: OpAttributes[Op]) => HostArray;
}

/** Runs on tensors, and also gets downloaded values of the inputs that `guides` lists. */
export interface GuidedKernel<Op extends OpName> {
  readonly guides: readonly number[];
  readonly guided: (call: KernelCall<Op>, guides: readonly HostArray[]) => Tensor;
}

export type Kernel<Op extends OpName> = DeviceKernel<Op> | HostKernel<Op> | GuidedKernel<Op>;

export type KernelTable = { readonly [Op in OpName]: Kernel<Op> };

interface Ranks {
  readonly 4: Tensor4D;
}

/** Returns a tensor, typed by its rank, which tfjs's types require. @throws EngineError if it has a different rank */
export function ofRank<R extends keyof Ranks>(x: Tensor, rank: R): Ranks[R];
export function ofRank(x: Tensor, rank: number): Tensor {
  if (x.rank !== rank) throw new EngineError(`expected a tensor of rank ${rank}, got rank ${x.rank}`);
  return x;
}

/** The inputs of operations with one, two or three inputs; the graph's shape rules guarantee that they exist. */
export const one = (inputs: readonly Tensor[]): Tensor => elementAt(inputs, 0);
export const two = (inputs: readonly Tensor[]): readonly [Tensor, Tensor] => [elementAt(inputs, 0), elementAt(inputs, 1)];
export const three = (inputs: readonly Tensor[]): readonly [Tensor, Tensor, Tensor] => [...two(inputs), elementAt(inputs, 2)];
