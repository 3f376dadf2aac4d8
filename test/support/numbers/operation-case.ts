/** The form of a test case of one graph operation, and the numbers it is fed. */

import type { EngineName } from '../../../trainer/catalog/engines.ts';
import type { OpName } from '../../../trainer/graph/attributes.ts';
import type { Graph, Node } from '../../../trainer/graph/graph.ts';
import { type DType, elementCount, type HostArray, type Shape, type TensorSpec } from '../../../trainer/graph/types.ts';
import { required } from '../../../trainer/narrow.ts';

export interface Data extends TensorSpec {
  readonly data: HostArray;
}

/** The inputs that cases have; a case has some of them. */
export type InputNodes = Readonly<
  Record<
    | (
        | 'a'
        | 'at'
        | 'b'
        | 'beta1Power'
        | 'beta2Power'
        | 'c'
        | 'dy'
        | 'epsilon'
        | 'f'
        | 'g'
        | 'gate'
        | 'i'
        | 'ids'
        | 'k'
        | 'keys'
        | 'lengths'
        | 'logits'
      )
    | ('additions' | 'before' | 'decay' | 'n' | 'state' | 'transitions' | 'weight')
    | ('own' | 'q' | 'queries' | 'rate' | 'rows' | 'scale' | 'seed' | 'shift' | 'up' | 'v' | 'w' | 'x' | 'y'),
    Node
  >
>;

/** Inputs by name. Reading one that is not among them throws. */
export const inputNodes = (nodes: Readonly<Record<string, Node>>): InputNodes =>
  // What is not there is never given.
  new Proxy(nodes, { get: (all, name) => required(all[String(name)], `the input ${String(name)}`) }) as InputNodes;

export interface OperationCase {
  readonly title: string;
  readonly feeds?: Readonly<Record<string, Data>>;
  /** Loaded before the run and read back after it. */
  readonly variables?: Readonly<Record<string, Data>>;
  readonly build: (graph: Graph, inputs: InputNodes) => { readonly y?: Node; readonly effects?: readonly Node[] };
  /** The expected `y`, by an independent formula in double precision. */
  readonly expected?: (inputs: Readonly<Record<string, readonly number[]>>) => readonly number[];
  /** The expected value of each variable after the run. */
  readonly expectedVariables?: (inputs: Readonly<Record<string, readonly number[]>>) => Readonly<Record<string, readonly number[]>>;
  /** Inputs whose gradient is compared with finite differences, with the rows asked for (all where empty). */
  readonly gradients?: Readonly<Record<string, { readonly rows?: readonly number[] }>>;
  /** Gradients of Σ y known in closed form, where finite differences mean nothing (ties). */
  readonly expectedGradients?: Readonly<Record<string, readonly number[]>>;
  /** Largest |error| / (1 + |expected|) between engines; 1e-5 where not given. */
  readonly tolerance?: number;
  /** The only engine that has the operation in this element type; left out, all have it. */
  readonly engine?: EngineName;
}

/** A small linear congruential generator (Numerical Recipes): the same numbers on every run. */
export function randomNumbers(count: number, low: number, high: number, seed: number): number[] {
  let state = (seed * 2654435761) >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + (high - low) * (state / 2 ** 32);
  });
}

/** float32 data of a shape, uniform in [low, high). */
export const floats = (shape: Shape, { low = -1.5, high = 1.5, seed = 1 } = {}): Data =>
  floatsOf(shape, randomNumbers(elementCount(shape), low, high, seed + elementCount(shape)));

export const floatsOf = (shape: Shape, values: readonly number[]): Data => ({ shape, dtype: 'float32', data: Float32Array.from(values) });

/** Uniform with |x| ≥ 0.2, for functions with a kink at 0. */
export function awayFromZero(shape: Shape, seed = 1): Data {
  const values = Array.from(floats(shape, { seed }).data, x => (x < 0 ? x - 0.2 : x + 0.2));
  return floatsOf(shape, values);
}

export const ints = (shape: Shape, values: readonly number[], dtype: DType = 'int32'): Data => ({
  shape,
  dtype,
  data: dtype === 'int8' ? Int8Array.from(values) : dtype === 'uint8' ? Uint8Array.from(values) : Int32Array.from(values),
});

export const bools = (shape: Shape, values: readonly number[]): Data => ({ shape, dtype: 'bool', data: Uint8Array.from(values) });

/** Gradients of all these inputs, whole. */
export const whole = (...names: string[]): OperationCase['gradients'] => Object.fromEntries(names.map(name => [name, {}]));

export type CaseTable = { readonly [Op in OpName]: readonly OperationCase[] };
