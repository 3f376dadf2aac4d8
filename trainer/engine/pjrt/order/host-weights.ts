/**
 * Base weights in the host's memory. A block moves each to the device when it first reads it, once in the forward pass and once in the
 * backward pass. XLA shares equal expressions, and would keep a weight from one to the other, so the second move reads the weight through a
 * barrier that waits for a gradient. XLA's scheduler would also start all moves of the forward pass at the start of the program, so each
 * waits for the preceding product, also through a barrier. Trained rows, columns and elements are on the device, and replace the weight's
 * own after it has been moved.
 */

import { aliasedRead, writtenVariables } from '../../../graph/alias.ts';
import { isBackward, isOp, type Node, type VariableSpec } from '../../../graph/node-store.ts';
import { passOfBlock } from '../../../graph/offload.ts';
import { isOnHost, type Program, type SeparatePart, type Signature, separatePart } from '../../../graph/program.ts';
import { elementCount } from '../../../graph/types.ts';
import { elementAt, required, valueFor } from '../../../narrow.ts';
import { withColumns } from '../columns.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { DEVICE_MEMORY } from '../memory-kinds.ts';
import type { RecomputeBarriers } from './recompute-barriers.ts';

interface HostWeightsParams {
  readonly emitter: Emitter;
  readonly values: Map<Node, Value>;
  readonly recomputed: RecomputeBarriers;
  /** The weights, by variable. */
  readonly weights: ReadonlyMap<string, SeparatePart | undefined>;
  /** Returns the newest value of a variable. */
  readonly get: (variable: string) => Value;
}

/**
 * Returns the weights on the host that a part of a program moves: those that it neither writes, except for separately stored parts, nor
 * returns.
 * @param changed variables @param results nodes
 */
export function hostWeightsOf(
  places: Program['places'],
  { changed, results }: { readonly changed: readonly string[]; readonly results: readonly Node[] },
): ReadonlyMap<string, SeparatePart | undefined> {
  const found = new Map<string, SeparatePart | undefined>();
  const others = new Set([...changed, ...results.map(node => aliasedRead(node)?.attrs.variable)]);
  for (const [name, place] of places ?? []) {
    const separate = separatePart(place);
    if (separate || (isOnHost(place) && !others.has(name))) found.set(name, separate);
  }
  return found;
}

/** Returns the places as a signature reads them: without separately stored parts, if it reads the base. */
export const placesOf = (
  { readsBase }: Pick<Signature, 'readsBase'>,
  places: NonNullable<Program['places']>,
): NonNullable<Program['places']> =>
  readsBase ? new Map([...places].map(([name, place]) => [name, separatePart(place) ? 'host' : place])) : places;

/** Returns the specs of the variables and of the separately stored parts, which another signature may declare. */
export const withSeparateParts = (
  specs: ReadonlyMap<string, VariableSpec>,
  places: Program['places'],
): ReadonlyMap<string, VariableSpec> => {
  const separate = [...(places?.values() ?? [])]
    .flatMap(place => separatePart(place) ?? [])
    .flatMap(({ chosen, values }) => [chosen, values]);
  return separate.length === 0 ? specs : new Map([...separate.map(spec => [spec.name, spec] as const), ...specs]);
};

/** Returns, for each variable that is a weight's separately stored part, the weight. */
export const weightsByPart = (weights: ReadonlyMap<string, SeparatePart | undefined>): ReadonlyMap<string, string> =>
  new Map([...weights].flatMap(([name, separate]) => (separate ? [[separate.values.name, name] as const] : [])));

/**
 * Returns true if an operation only writes separately stored parts of weights. It is not lowered: another operation writes the values of
 * the part.
 */
export const onlyWritesSeparateParts = (node: Node, places: Program['places']): boolean => {
  const written = writtenVariables(node);
  return written.length > 0 && written.every(name => separatePart(places?.get(name)) !== undefined);
};

export class HostWeights {
  private readonly params: HostWeightsParams;
  /** Weights on the device, for one pass of one block. */
  private moved = new Map<string, Value>();
  private at = '';
  /** The newest product. */
  private last: Node | undefined;

  constructor(params: HostWeightsParams) {
    this.params = params;
  }

  /** Moves the weights that an operation reads to the device. Call before asking for its inputs. */
  moveFor(node: Node): void {
    for (const input of new Set(node.inputs)) {
      const variable = aliasedRead(input)?.attrs.variable;
      if (variable === undefined || !this.params.weights.has(variable)) continue;
      const at = passOfBlock(node);
      if (at !== this.at) this.moved = new Map();
      this.at = at;
      this.place(input, variable, node);
    }
  }

  /** Call after the node's value has been emitted. */
  made(node: Node): void {
    if (node.op === 'matmul') this.last = node;
  }

  /** Sets a read, or a view of one, to its value on the device. @param reader an operation that reads it */
  private place(node: Node, variable: string, reader: Node): void {
    const { values } = this.params;
    const known = this.moved.get(variable) ?? this.move(variable, reader);
    this.moved.set(variable, known);
    if (isOp(node, 'read')) values.set(node, known);
    else values.set(node, this.params.emitter.reshape(known, node.shape));
  }

  private move(variable: string, reader: Node): Value {
    const { emitter, recomputed, weights, get } = this.params;
    const onHost = get(variable);
    const held = isBackward(reader) ? elementAt(recomputed.behindGradients([onHost]), 0) : this.behindLast(onHost);
    const moved = emitter.place(held, DEVICE_MEMORY);
    const separate = weights.get(variable);
    if (!separate) return moved;
    return this.withPart(moved, separate);
  }

  /** Returns the weight with its trained part. */
  private withPart(weight: Value, { of, chosen, values }: SeparatePart): Value {
    const { emitter, get } = this.params;
    const places = get(chosen.name);
    const trained = this.onDevice(values.name);
    const own = emitter.convert(emitter.reshape(trained, trained.shape.slice(1)), weight.type);
    const how = { combine: 'replace', unique: true } as const;
    if (of === 'rows') return emitter.scatter(weight, places, own, how);
    if (of === 'columns') return withColumns(emitter, { matrix: weight, columns: places, values: own });
    const flat = emitter.reshape(weight, [elementCount(weight.shape)]);
    return emitter.reshape(emitter.scatter(flat, places, own, how), weight.shape);
  }

  /** Returns a variable on the device. Masters may also be in the host's memory, along with the optimizer state. */
  private onDevice(variable: string): Value {
    const { emitter, weights, get } = this.params;
    return weights.has(variable) ? emitter.place(get(variable), DEVICE_MEMORY) : get(variable);
  }

  /** Returns a value that cannot be read before the newest product is available. */
  private behindLast(value: Value): Value {
    const { last, params } = this;
    if (!last) return value;
    const [held, product] = params.emitter.barrier([value, valueFor(params.values, last)]);
    params.values.set(last, required(product, 'the product'));
    return required(held, 'the weight');
  }
}
