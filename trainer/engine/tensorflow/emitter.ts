/** Collects the NodeDefs of one program and makes them run in the order of the schedule. */
import type { DType, HostArray, Shape } from '../../graph/types.ts';
import { type Attributes, attr, type NodeDef } from './node-def.ts';

/** Constants with at most this many elements are shared by content: axes, shapes, scalars. */
const SHARED_CONSTANT_ELEMENTS = 64;

/** The CPU, where everything runs unless there is a GPU. */
export const HOST = '/device:CPU:0';

export class Emitter {
  readonly nodes: NodeDef[];
  /** Device of the operations emitted from now on. */
  device: string | undefined;
  private readonly scope: string;
  private readonly constants = new Map<string, string>();
  private count = 0;
  private last: string | undefined;

  /** @param scope prefix of every node created here; must differ from that of any other emitter over the same `nodes` */
  constructor(scope: string, nodes: NodeDef[]) {
    this.scope = scope;
    this.nodes = nodes;
  }

  /**
   * Adds an operation that runs after everything emitted before it. TensorFlow runs operations that are ready in any order, and delays
   * those that nothing waits for; memory was planned for the order of the schedule, so each node waits for the previous one.
   * @returns its name, which refers to its first output
   */
  emit(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    const last = this.last;
    const isInput = last !== undefined && inputs.some(input => input === last || input.startsWith(`${last}:`));
    const wait = last !== undefined && !isInput ? [`^${last}`] : [];
    this.last = this.add(op, [...inputs, ...wait], attributes, this.device);
    return this.last;
  }

  /** Runs everything that `build` emits on the CPU. */
  onHost(build: () => void): void {
    const before = this.device;
    this.device = HOST;
    build();
    this.device = before;
  }

  /** Adds an operation outside the order: a source. */
  source(op: string, attributes: Attributes, device?: string): string {
    return this.add(op, [], attributes, device);
  }

  constant(value: HostArray, shape: Shape, dtype: DType): string {
    const key = value.length <= SHARED_CONSTANT_ELEMENTS ? `${dtype} [${shape}] ${Array.from(value, showExactly).join()}` : undefined;
    const known = key === undefined ? undefined : this.constants.get(key);
    if (known !== undefined) return known;
    const name = this.source('Const', { dtype: attr.type(dtype), value: attr.tensor(value, shape, dtype) });
    if (key !== undefined) this.constants.set(key, name);
    return name;
  }

  /** Returns an int32 vector: axes, a shape, a permutation. */
  ints(values: readonly number[]): string {
    return this.constant(Int32Array.from(values), [values.length], 'int32');
  }

  int(value: number): string {
    return this.constant(Int32Array.of(value), [], 'int32');
  }

  /** Returns a scalar `true` that is available once everything emitted so far has run. */
  token(): string {
    const wait = this.last === undefined ? [] : [`^${this.last}`];
    return this.add('Const', wait, { dtype: attr.type('bool'), value: attr.tensor(Uint8Array.of(1), [], 'bool') });
  }

  private add(op: string, input: readonly string[], attributes: Attributes, device?: string): string {
    // TensorFlow stores every name several times, and names of up to 15 characters need no memory beyond the string object itself.
    const name = `${this.scope}/${(this.count++).toString(36)}`;
    this.nodes.push({ name, op, input, ...(device !== undefined && { device }), attr: attributes });
    return name;
  }
}

const showExactly = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));
