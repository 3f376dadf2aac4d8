/**
 * Updates of state in 8 bits, one after the other. An update widens its moments, and XLA, which orders by data alone, may widen those of all
 * variables before it has narrowed any. So a widened value waits for the variables that were updated before: 0 times a number of each is added
 * to it (`Emitter.after`). The numbers of a moment's codes are 0 or more, so that every one stays the same to the bit.
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
  /** A number that is there when the variable has been updated that was updated last. */
  private updated: Value | undefined;

  constructor(emitter: Emitter, values: Map<Node, Value>, schedule: readonly Node[]) {
    this.emitter = emitter;
    this.values = values;
    const changed = new Set(schedule.flatMap(writtenVariables));
    this.widened = new Set(schedule.filter(node => changed.has(narrowRead(node) ?? '')));
  }

  /** To be called when the node's value is there. @param get the value of a variable after everything so far */
  made(node: Node, get: (variable: string) => Value): void {
    if (this.widened.size === 0) return;
    if (isOp(node, 'updateRows')) {
      const value = get(node.attrs.variable);
      // The only row of a variable is replaced, and XLA computes one of its numbers again instead of waiting for all.
      if (value.shape[0] !== 1) this.updated = this.numberOf(value);
    } else if (this.updated && this.widened.has(node))
      this.values.set(node, this.emitter.after(valueFor(this.values, node), [this.updated]));
  }

  /**
   * The first number of a value, twice. XLA takes it out of the value once, since it neither fuses nor repeats a scatter of two: were it taken
   * out wherever it is needed, a value would have to be kept for that, next to its own update.
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

/** The variable of 8 bits that is read to be computed with. */
function narrowRead(node: Node): string | undefined {
  const [input] = node.inputs;
  return isOp(node, 'cast') && input?.dtype === 'uint8' ? aliasedRead(input)?.attrs.variable : undefined;
}
