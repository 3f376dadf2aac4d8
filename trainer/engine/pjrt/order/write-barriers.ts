/**
 * Orders writes of variables after all reads of the old value. XLA only respects data dependencies: if a product with W and an update of
 * W's rows could run in either order, it copies all of W. So an update waits for the readers that it does not depend on anyway. Their
 * results are read behind the barrier from then on, because XLA drops barrier operands that are not used behind it.
 *
 * The new rows of several variables are computed together. XLA recomputes them for each shape that it slices out of them, each time from
 * all of the old rows. It writes the variables of one shape before it computes the rows of the next, so it copies the others, whole and
 * from the start of the program. So rows that are sliced into different shapes are kept, through a barrier.
 */

import { aliasedRead, writtenVariables } from '../../../graph/alias.ts';
import type { OpName } from '../../../graph/attributes.ts';
import { ancestors, isOp, type Node } from '../../../graph/node-store.ts';
import { worksByElement } from '../../../graph/ops/elementwise.ts';
import { elementCount } from '../../../graph/types.ts';
import { elementAt, valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

/** Operations that move elements without computing. */
const MOVES: ReadonlySet<OpName> = new Set<OpName>(['cast', 'reshape', 'concat', 'gather', 'slice']);

export interface WriteBarrierParams {
  readonly emitter: Emitter;
  readonly values: Map<Node, Value>;
  readonly schedule: readonly Node[];
  /** The weight of each variable that is the weight's separately stored part; the weight's readers read both. */
  readonly weightOf: ReadonlyMap<string, string>;
}

export class WriteBarriers {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** The operations that have read each variable since it was last written. */
  private readonly readers = new Map<string, Node[]>();
  private readonly joined: ReadonlySet<Node>;
  private readonly weightOf: ReadonlyMap<string, string>;

  constructor({ emitter, values, schedule, weightOf }: WriteBarrierParams) {
    this.emitter = emitter;
    this.values = values;
    this.joined = sharedUpdates(schedule);
    this.weightOf = weightOf;
  }

  /** Returns the inputs of an operation; if it writes a variable, one of them waits. */
  guarded(node: Node, inputs: readonly Value[]): readonly Value[] {
    const written = writtenVariables(node).flatMap(name => [name, this.weightOf.get(name) ?? name]);
    const readers = [...new Set(written.flatMap(variable => this.readers.get(variable) ?? []))];
    const waitedFor = independentReaders(node, readers);
    if (waitedFor.length === 0) return inputs;
    const largest = inputs.reduce((most, { shape }, i) => (elementCount(shape) > elementCount(inputs[most]?.shape ?? []) ? i : most), 0);
    const results = this.emitter.barrier([elementAt(inputs, largest), ...waitedFor.map(reader => valueFor(this.values, reader))]);
    for (const [i, reader] of waitedFor.entries()) this.values.set(reader, elementAt(results, i + 1));
    const held = elementAt(results, 0);
    return inputs.map((input, i) => (i === largest ? held : input));
  }

  /** Call after the operation has been lowered. */
  made(node: Node): void {
    if (this.joined.has(node)) {
      const [held] = this.emitter.barrier([valueFor(this.values, node)]);
      if (held) this.values.set(node, held);
    }
    for (const variable of writtenVariables(node)) this.readers.delete(variable);
    // A view is not a reader; the readers of the view are.
    if (aliasedRead(node)) return;
    for (const input of node.inputs) {
      const variable = aliasedRead(input)?.attrs.variable;
      if (variable !== undefined) this.readers.set(variable, [...(this.readers.get(variable) ?? []), node]);
    }
  }
}

/** Returns the readers that the node does not depend on. */
function independentReaders(node: Node, readers: readonly Node[]): Node[] {
  const behind = ancestors(node, readers);
  return readers.filter(reader => !behind.has(reader));
}

/** Returns values that are computed from several variables and sliced into different shapes to update them. */
function sharedUpdates(schedule: readonly Node[]): ReadonlySet<Node> {
  const cuts = new Map<Node, { readonly shapes: Set<string>; readonly variables: Set<string> }>();
  for (const node of schedule) {
    const written = writtenVariables(node);
    for (const input of written.length > 0 ? node.inputs : []) {
      const part = sameNumbers(input);
      const [whole] = part.inputs;
      if (!isOp(part, 'slice') || !whole) continue;
      const found = cuts.get(whole) ?? { shapes: new Set(), variables: new Set() };
      cuts.set(whole, found);
      found.shapes.add(part.shape.join());
      for (const variable of written) found.variables.add(variable);
    }
  }
  const isJoined = ([whole, { shapes, variables }]: readonly [Node, { shapes: Set<string>; variables: Set<string> }]): boolean =>
    shapes.size > 1 && isComputedFrom(whole, variables);
  return new Set([...cuts].filter(isJoined).map(([whole]) => whole));
}

/** Returns the operation with the same values, ignoring reshapes and casts. */
function sameNumbers(node: Node): Node {
  const [input] = node.inputs;
  return input && (isOp(node, 'cast') || isOp(node, 'reshape')) ? sameNumbers(input) : node;
}

/** Returns true if a value is computed elementwise from entries of one of the variables. */
function isComputedFrom(node: Node, variables: ReadonlySet<string>): boolean {
  const waiting = [node];
  const seen = new Set<Node>();
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if (isOp(next, 'read') && variables.has(next.attrs.variable)) return true;
    if (worksByElement(next.op) || MOVES.has(next.op)) waiting.push(...next.inputs);
  }
  return false;
}
