/** The arguments of a module and their current values: variables, constants too large for the text, feeds, and values from other parts. */

import type { Node, VariableSpec } from '../../graph/node-store.ts';
import { isOp } from '../../graph/node-store.ts';
import { isOnHost, type Program, separatePart } from '../../graph/program.ts';
import { GraphError, type HostArray, type TensorSpec } from '../../graph/types.ts';
import { elementAt, valueFor } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';
import { hloType, tensorType, type Value } from './hlo-type.ts';
import type { LoweringContext } from './lowering.ts';
import { DEVICE_MEMORY, HOST_MEMORY } from './memory-kinds.ts';
import { withSeparateParts } from './order/host-weights.ts';
import { philoxFunction, philoxName, philoxResult } from './philox.ts';

export interface ModuleConstant {
  readonly spec: TensorSpec;
  readonly value: () => HostArray;
}

interface ModuleStateParams {
  readonly emitter: Emitter;
  readonly schedule: readonly Node[];
  readonly feeds: readonly Node<'feed'>[];
  readonly changed: readonly string[];
  readonly specs: ReadonlyMap<string, VariableSpec>;
  readonly places: Program['places'];
  /** Returns whether a variable in the host's memory is moved for its uses, so its read refers to the host's memory. */
  readonly isMoved: (variable: string) => boolean;
}

/** The attribute of an argument or a result in the host's memory. */
const ON_HOST = `mhlo.memory_kind = "${HOST_MEMORY}"`;

export class ModuleState implements Pick<LoweringContext<'read'>, 'get' | 'set' | 'feed' | 'once' | 'randomBits'> {
  /** All variables of the module; changed ones come first. */
  readonly variables: readonly string[];
  /** Variables whose initial value is used. */
  readonly read = new Set<string>();
  readonly constants: ModuleConstant[] = [];
  readonly feeds: readonly { readonly name: string; readonly spec: TensorSpec }[];
  private readonly params: ModuleStateParams;
  private readonly specs: ReadonlyMap<string, VariableSpec>;
  private readonly newestValues: Map<string, Value>;
  private readonly written = new Set<string>();
  private readonly arguments = new Map<object, Value>();
  private readonly calls = new Map<string, readonly Value[]>();
  private readonly philox = new Set<number>();

  /** @throws GraphError if the schedule uses a variable that has no spec */
  constructor(params: ModuleStateParams) {
    const { schedule, feeds, changed, specs, places } = params;
    this.params = params;
    this.specs = withSeparateParts(specs, places);
    this.variables = [...new Set([...changed, ...schedule.flatMap(node => readVariables(node, places))])];
    this.newestValues = new Map(this.variables.map((name, i) => [name, named(`%v${i}`, this.spec(name))]));
    this.feeds = feeds.map(({ attrs: { name, spec } }) => ({ name, spec }));
  }

  /** Returns the newest value of a variable, in whichever memory it is. */
  readonly newest = (name: string): Value => valueFor(this.newestValues, name);

  readonly get = (name: string): Value => {
    const value = this.newest(name);
    if (this.written.has(name) || (this.read.has(name) && this.isHost(name))) return value;
    this.read.add(name);
    if (!this.isHost(name) || this.params.isMoved(name)) return value;
    const moved = this.params.emitter.place(value, DEVICE_MEMORY);
    this.newestValues.set(name, moved);
    return moved;
  };

  readonly set = (name: string, value: Value): void => {
    this.written.add(name);
    this.newestValues.set(name, value);
  };

  readonly feed = (name: string): Value => {
    const at = this.feeds.findIndex(feed => feed.name === name);
    return named(`%f${at}`, elementAt(this.feeds, at).spec);
  };

  readonly once = (key: string, call: () => readonly Value[]): readonly Value[] => {
    const results = this.calls.get(key) ?? call();
    this.calls.set(key, results);
    return results;
  };

  readonly randomBits = (seed: Value, blocks: number): Value => {
    this.philox.add(blocks);
    const { shape, type } = philoxResult(blocks);
    const operation = `func.call @${philoxName(blocks)}(${seed.name}) : (${tensorType(seed)}) -> ${tensorType({ shape, type })}`;
    return this.params.emitter.emit(shape, type, operation);
  };

  /** Returns the argument for this node's constant; nodes that share their attributes share it. */
  argument({ attrs }: Node, spec: TensorSpec, value: () => HostArray): Value {
    const found = this.arguments.get(attrs) ?? named(`%c${this.constants.push({ spec, value }) - 1}`, spec);
    this.arguments.set(attrs, found);
    return found;
  }

  /** Returns the changed variables at the end of the module, each in its argument's memory. */
  results(): Value[] {
    const { changed, emitter } = this.params;
    return changed.map(name => (this.isHost(name) ? emitter.place(this.newest(name), HOST_MEMORY) : this.newest(name)));
  }

  /** Returns the text of all parameters. @param given values from other parts */
  parameters(given: readonly Node[]): string[] {
    const type = (spec: TensorSpec): string => tensorType(typeOf(spec));
    return [
      ...this.variables.map((name, i) => {
        const at = this.params.changed.indexOf(name);
        const aliasing = at < 0 ? [] : [`tf.aliasing_output = ${at} : i32`];
        return `%v${i}: ${withAttributes(type(this.spec(name)), [...aliasing, ...this.attributesOf(name)])}`;
      }),
      ...this.constants.map(({ spec }, i) => `%c${i}: ${type(spec)}`),
      ...this.feeds.map(({ spec }, i) => `%f${i}: ${type(spec)}`),
      ...given.map((node, i) => `%g${i}: ${type(node)}`),
    ];
  }

  /** Returns the text of all result types; changed variables come first. */
  resultTypes(results: readonly Value[]): string {
    return results.map((value, i) => withAttributes(tensorType(value), this.attributesOf(this.params.changed[i] ?? ''))).join(', ');
  }

  /** Returns the lines of the functions that the module calls. */
  functions(): string[] {
    return [...this.philox].flatMap(philoxFunction);
  }

  private attributesOf(variable: string): string[] {
    return this.isHost(variable) ? [ON_HOST] : [];
  }

  private isHost(variable: string): boolean {
    return isOnHost(this.params.places?.get(variable));
  }

  private spec(variable: string): VariableSpec {
    const spec = this.specs.get(variable);
    if (!spec) throw new GraphError(`variable ${variable} is not declared in the program`);
    return spec;
  }
}

/** Returns an argument of the module. */
export const named = (name: string, spec: TensorSpec): Value => ({ name, ...typeOf(spec) });

const withAttributes = (type: string, attributes: readonly string[]): string =>
  attributes.length === 0 ? type : `${type} {${attributes.join(', ')}}`;

/** Returns the variables that a read uses: a weight with a separately stored part is read along with that part. */
function readVariables(node: Node, places: Program['places']): readonly string[] {
  if (!isOp(node, 'read')) return [];
  const { variable } = node.attrs;
  const separate = separatePart(places?.get(variable));
  return separate ? [variable, separate.chosen.name, separate.values.name] : [variable];
}

const typeOf = ({ shape, dtype }: TensorSpec): Pick<Value, 'shape' | 'type'> => ({ shape, type: hloType(dtype) });
