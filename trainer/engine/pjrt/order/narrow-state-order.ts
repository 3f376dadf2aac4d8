/**
 * Runs updates of 8-bit state one after the other. An update widens its moments, and XLA, which orders by data dependencies alone, may
 * widen those of all variables before it has narrowed any. So a widened value waits for the previously updated variables: 0 times an
 * element of each is added to it (`Emitter.after`). The values of a moment's codes are never negative, so all of them stay bit-identical.
 */

import { aliasedRead, writtenVariables } from '../../../graph/alias.ts';
import { isOp, type Node } from '../../../graph/node-store.ts';
import { valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

export class NarrowStateOrder {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** Widened values of variables that the signature also writes. */
  private readonly widened: ReadonlySet<Node>;
  /** A value that is available once the most recently updated variable has been written. */
  private updated: Value | undefined;

  constructor(emitter: Emitter, values: Map<Node, Value>, schedule: readonly Node[]) {
    this.emitter = emitter;
    this.values = values;
    const changed = new Set(schedule.flatMap(writtenVariables));
    this.widened = new Set(schedule.filter(node => changed.has(narrowRead(node) ?? '')));
  }

  /** Call after the node's value has been emitted. @param get returns the current value of a variable */
  made(node: Node, get: (variable: string) => Value): void {
    if (this.widened.size === 0) return;
    if (isOp(node, 'updateRows')) {
      const value = get(node.attrs.variable);
      // If a variable's only row is replaced, XLA recomputes one of its elements instead of waiting for all.
      if (value.shape[0] !== 1) this.updated = this.numberOf(value);
    } else if (this.updated && this.widened.has(node))
      this.values.set(node, this.emitter.after(valueFor(this.values, node), [this.updated]));
  }

  /**
   * Returns the first element of a value, twice. XLA extracts it only once, since it neither fuses nor repeats a scatter of two; if it
   * extracted the element wherever it is needed, the old value would have to be kept along with its update.
   */
  private numberOf(value: Value): Value {
    const { emitter } = this;
    const first = emitter.slice(
      value,
      value.shape.map(() => 0),
      value.shape.map(() => 1),
    );
    const pair = emitter.zip('add', emitter.fill(0, value.type, [2]), emitter.reshape(first, []));
    return emitter.scatter(emitter.fill(0, value.type, [2]), emitter.iota([2], 0, 'i32'), pair, { combine: 'replace', unique: true });
  }
}

/** Returns the 8-bit variable that a cast widens. */
function narrowRead(node: Node): string | undefined {
  const [input] = node.inputs;
  return isOp(node, 'cast') && input?.dtype === 'uint8' ? aliasedRead(input)?.attrs.variable : undefined;
}
