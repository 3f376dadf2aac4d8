/**
 * Orders the writes of variables behind everything that reads the old value. XLA knows no order but that of data: where a product with W and an
 * update of W's rows could run either way, it copies all of W. So an update waits for those readers that it does not depend on anyway. What
 * they give is read behind the barrier from then on: XLA drops what goes through a barrier and is not used behind it.
 *
 * The new rows of several variables are computed together. XLA computes them again for each shape that it cuts out of them, each time from the old
 * rows of all. It writes the variables of one shape before it computes the rows of the next, so it copies others, whole and from the start of the
 * program. Rows that are cut into different shapes are therefore kept, by a barrier, as they are.
 */

import { aliasedRead, writtenVariables } from '../../../graph/alias.ts';
import type { OpName } from '../../../graph/attributes.ts';
import { ancestors, isOp, type Node } from '../../../graph/node-store.ts';
import { worksByElement } from '../../../graph/ops/elementwise.ts';
import { elementCount } from '../../../graph/types.ts';
import { elementAt, valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

/** They move numbers and compute none. */
const MOVES: ReadonlySet<OpName> = new Set<OpName>(['cast', 'reshape', 'concat', 'gather', 'slice']);

export interface WriteBarrierParams {
  readonly emitter: Emitter;
  readonly values: Map<Node, Value>;
  readonly schedule: readonly Node[];
  /** By a variable with the part that lies apart from a weight, the weight, whose readers read both. */
  readonly weightOf: ReadonlyMap<string, string>;
}

export class WriteBarriers {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** By variable, the operations that have read it since it was last written. */
  private readonly readers = new Map<string, Node[]>();
  private readonly joined: ReadonlySet<Node>;
  private readonly weightOf: ReadonlyMap<string, string>;

  constructor({ emitter, values, schedule, weightOf }: WriteBarrierParams) {
    this.emitter = emitter;
    this.values = values;
    this.joined = joinedWrites(schedule);
    this.weightOf = weightOf;
  }

  /** The inputs of an operation, of which one waits where the operation writes a variable. */
  guarded(node: Node, inputs: readonly Value[]): readonly Value[] {
    const written = writtenVariables(node).flatMap(name => [name, this.weightOf.get(name) ?? name]);
    const readers = [...new Set(written.flatMap(variable => this.readers.get(variable) ?? []))];
    const waitedFor = readersApart(node, readers);
    if (waitedFor.length === 0) return inputs;
    const largest = inputs.reduce((most, { shape }, i) => (elementCount(shape) > elementCount(inputs[most]?.shape ?? []) ? i : most), 0);
    const results = this.emitter.barrier([elementAt(inputs, largest), ...waitedFor.map(reader => valueFor(this.values, reader))]);
    for (const [i, reader] of waitedFor.entries()) this.values.set(reader, elementAt(results, i + 1));
    const held = elementAt(results, 0);
    return inputs.map((input, i) => (i === largest ? held : input));
  }

  /** To be called when the operation is lowered. */
  made(node: Node): void {
    if (this.joined.has(node)) {
      const [held] = this.emitter.barrier([valueFor(this.values, node)]);
      if (held) this.values.set(node, held);
    }
    for (const variable of writtenVariables(node)) this.readers.delete(variable);
    // A view is no reader: who reads the view is.
    if (aliasedRead(node)) return;
    for (const input of node.inputs) {
      const variable = aliasedRead(input)?.attrs.variable;
      if (variable !== undefined) this.readers.set(variable, [...(this.readers.get(variable) ?? []), node]);
    }
  }
}

/** Those of the readers that the node does not depend on. */
function readersApart(node: Node, readers: readonly Node[]): Node[] {
  const behind = ancestors(node, readers);
  return readers.filter(reader => !behind.has(reader));
}

/** Values that are computed from what several variables hold, and cut into parts of different shapes for these. */
function joinedWrites(schedule: readonly Node[]): ReadonlySet<Node> {
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

/** The operation whose numbers these are, in another shape or element type. */
function sameNumbers(node: Node): Node {
  const [input] = node.inputs;
  return input && (isOp(node, 'cast') || isOp(node, 'reshape')) ? sameNumbers(input) : node;
}

/** Whether a value is computed, element by element, from entries of one of the variables. */
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
