/**
 * Orders the writes of variables behind everything that reads the old value. XLA knows no order but that of data: where a product with W and an
 * update of W's rows could run either way, it copies all of W. So an update waits for those readers that it does not depend on anyway. What
 * they give is read behind the barrier from then on: XLA drops what goes through a barrier and is not used behind it.
 */

import { aliasedRead, writtenVariables } from '../../graph/alias.ts';
import { ancestors, type Node } from '../../graph/node-store.ts';
import { elementCount } from '../../graph/types.ts';
import { elementAt, valueFor } from '../../narrow.ts';
import type { Emitter } from './emitter.ts';
import type { Value } from './hlo-type.ts';

export class WriteBarriers {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** By variable, the operations that have read it since it was last written. */
  private readonly readers = new Map<string, Node[]>();

  /** By a variable with rows that lie apart from their weight, the weight, whose readers read both. */
  private readonly weightOf: ReadonlyMap<string, string>;

  constructor(emitter: Emitter, values: Map<Node, Value>, weightOf: ReadonlyMap<string, string> = new Map()) {
    this.emitter = emitter;
    this.values = values;
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
