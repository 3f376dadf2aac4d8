/** The form of a test case of one graph operation, and its input data. */

import type { EngineName } from '../../../trainer/catalog/engines.ts';
import type { OpName } from '../../../trainer/graph/attributes.ts';
import type { Graph, Node } from '../../../trainer/graph/graph.ts';
import { type DType, elementCount, type HostArray, type Shape, type TensorSpec } from '../../../trainer/graph/types.ts';
import { required } from '../../../trainer/narrow.ts';

export interface Data extends TensorSpec {
  readonly data: HostArray;
}

/** The inputs that a case may have. */
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

/** Returns inputs by name; reading a missing one throws. */
export const inputNodes = (nodes: Readonly<Record<string, Node>>): InputNodes =>
  // A missing input is never returned.
  new Proxy(nodes, { get: (all, name) => required(all[String(name)], `the input ${String(name)}`) }) as InputNodes;

export interface OperationCase {
  readonly title: string;
  readonly feeds?: Readonly<Record<string, Data>>;
  /** Variables that are loaded before the run and read afterwards. */
  readonly variables?: Readonly<Record<string, Data>>;
  readonly build: (graph: Graph, inputs: InputNodes) => { readonly y?: Node; readonly effects?: readonly Node[] };
  /** Returns the expected `y`, from an independent formula in double precision. */
  readonly expected?: (inputs: Readonly<Record<string, readonly number[]>>) => readonly number[];
  /** Returns the expected value of each variable after the run. */
  readonly expectedVariables?: (inputs: Readonly<Record<string, readonly number[]>>) => Readonly<Record<string, readonly number[]>>;
  /** Inputs whose gradients are compared with finite differences, with the rows to compare (all if empty). */
  readonly gradients?: Readonly<Record<string, { readonly rows?: readonly number[] }>>;
  /** Gradients of Σ y in closed form, where finite differences are meaningless (ties). */
  readonly expectedGradients?: Readonly<Record<string, readonly number[]>>;
  /** Maximum |error| / (1 + |expected|) between engines; 1e-5 by default. */
  readonly tolerance?: number;
  /** The only engine that supports the operation in this element type; undefined if all do. */
  readonly engine?: EngineName;
}

/** A small linear congruential generator (Numerical Recipes), which gives the same values in every run. */
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

/** Data with |x| ≥ 0.2, uniform otherwise, for functions with a kink at 0. */
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

/** Requests the full gradients of all these inputs. */
export const whole = (...names: string[]): OperationCase['gradients'] => Object.fromEntries(names.map(name => [name, {}]));

export type CaseTable = { readonly [Op in OpName]: readonly OperationCase[] };
