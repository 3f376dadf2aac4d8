/** A kernel: the code that runs one graph operation on tfjs tensors. */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { OpAttributes, OpName } from '../../graph/attributes.ts';
import type { HostArray } from '../../graph/types.ts';
import type { VariableStore } from './variable-store.ts';

export interface KernelCall<Op extends OpName> {
  readonly inputs: readonly Tensor[];
  readonly attrs: OpAttributes[Op];
  readonly variables: VariableStore;
  readonly feeds: Readonly<Record<string, HostArray>>;
}

/** Runs inside `tf.tidy`: what it makes and does not return is freed. May return one of its inputs. */
export interface DeviceKernel<Op extends OpName> {
  readonly device: (call: KernelCall<Op>) => Tensor;
}

/** Runs in TypeScript on downloaded inputs: for what must be bit for bit the same on every backend. */
export interface HostKernel<Op extends OpName> {
  readonly host: (inputs: readonly HostArray[], attrs: OpAttributes[Op]) => HostArray;
}

/** Runs on tensors, and is guided by numbers that were downloaded: those of the inputs that `guides` lists. */
export interface GuidedKernel<Op extends OpName> {
  readonly guides: readonly number[];
  readonly guided: (call: KernelCall<Op>, guides: readonly HostArray[]) => Tensor;
}

export type Kernel<Op extends OpName> = DeviceKernel<Op> | HostKernel<Op> | GuidedKernel<Op>;

export type KernelTable = { readonly [Op in OpName]: Kernel<Op> };

/** The inputs of an operation of one, two or three inputs; the graph's shape rules have checked that they are there. */
export const one = (inputs: readonly Tensor[]): Tensor => inputs[0] as Tensor;
export const two = (inputs: readonly Tensor[]): [Tensor, Tensor] => inputs as unknown as [Tensor, Tensor];
export const three = (inputs: readonly Tensor[]): [Tensor, Tensor, Tensor] => inputs as unknown as [Tensor, Tensor, Tensor];
