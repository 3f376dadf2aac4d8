/**
 * Keeps apart what the backward pass computes again and what the forward pass computed: XLA shares equal expressions, and would keep the forward
 * values until the backward pass. A recomputed operation therefore reads what was kept through a barrier that waits for a gradient. Whoever
 * reads that gradient later reads it behind the barrier: XLA drops what goes through a barrier and is not used behind it. What goes through a
 * barrier has a buffer. So a gradient that a loop over experts gave in a narrow type goes through in that type, and is widened behind it.
 */

import { isSource, type Node } from '../../../graph/node-store.ts';
import { byteSize } from '../../../graph/types.ts';
import { elementAt, valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import { hloType, type Value } from '../hlo-type.ts';

export class RecomputeBarriers {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** By node, the place in the schedule of its last reader. */
  private readonly lastUses: ReadonlyMap<Node, number>;
  /** Gradients, the newest last: a barrier that reads one cannot be passed before the backward pass is there. */
  private gradients: Node[] = [];
  private at = 0;
  /** Values behind a barrier, for the recomputation of one block. */
  private behind = new Map<Node, Value>();
  private block = -1;

  constructor(emitter: Emitter, values: Map<Node, Value>, lastUses: ReadonlyMap<Node, number>) {
    this.emitter = emitter;
    this.values = values;
    this.lastUses = lastUses;
  }

  inputsOf(node: Node): Value[] {
    if (!node.recomputed) return node.inputs.map(input => this.valueOf(input));
    if (node.block !== this.block) {
      this.behind = new Map();
      this.block = node.block;
    }
    const kept = node.inputs.filter(input => !input.recomputed);
    // Weights that are combined with something behind a barrier need none.
    const guarded =
      kept.length < node.inputs.length || kept.some(input => !isSource(input)) ? kept.filter(input => !isSource(input)) : kept;
    // A weight is unpacked again for each use: shared from one use to the next, those of a whole block would be there at once.
    const known = node.transient ? new Map<Node, Value>() : this.behind;
    const missing = [...new Set(guarded)].filter(input => !known.has(input));
    if (missing.length > 0) {
      const held = this.behindGradients(missing.map(input => this.valueOf(input)));
      for (const [i, input] of missing.entries()) known.set(input, elementAt(held, i));
    }
    return node.inputs.map(input => (guarded.includes(input) ? valueFor(known, input) : this.valueOf(input)));
  }

  /** Returns values that are not to be read before the newest gradients are there. */
  behindGradients(values: readonly Value[]): readonly Value[] {
    const gradients = this.newGradients();
    const held = [...new Set(gradients.map(heldFor))];
    const results = this.emitter.barrier([...values, ...held.map(each => this.valueOf(each))]);
    for (const [i, gradient] of held.entries()) this.values.set(gradient, elementAt(results, values.length + i));
    for (const gradient of gradients) if (!held.includes(gradient)) this.values.set(gradient, this.widened(gradient));
    return results.slice(0, values.length);
  }

  /** To be called when the node's value is there. */
  made(node: Node): void {
    if (node.phase > 0 && !node.recomputed && !isSource(node)) this.gradients.push(node);
    this.at++;
  }

  /** Those that are read again later: all since the barrier before, or the newest. */
  private newGradients(): readonly Node[] {
    const alive = this.gradients.filter(node => (this.lastUses.get(node) ?? 0) > this.at);
    this.gradients = alive.slice(-1);
    return alive;
  }

  private widened(gradient: Node): Value {
    return this.emitter.convert(this.valueOf(heldFor(gradient)), hloType(gradient.dtype));
  }

  private valueOf(node: Node): Value {
    return valueFor(this.values, node);
  }
}

/** The value that goes through a barrier for a gradient. A loop's result has a buffer of its own type, in whichever type it is read. */
function heldFor(gradient: Node): Node {
  const [input] = gradient.inputs;
  return gradient.op === 'cast' && input?.op === 'expertProduct' && byteSize(input) < byteSize(gradient) ? input : gradient;
}
