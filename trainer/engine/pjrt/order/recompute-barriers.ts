/**
 * Separates recomputed values from those of the forward pass: XLA shares equal expressions, and would keep the forward values until the
 * backward pass. So a recomputed operation reads kept values through a barrier that waits for a gradient. Later readers of that gradient
 * read it behind the barrier, because XLA drops barrier operands that are not used behind it. Operands of a barrier have buffers. So a
 * gradient that a loop over experts returned in a narrow type passes the barrier in that type, and is widened behind it. In the same way, one
 * that repeats a smaller gradient, such as that of a sum over a token's experts, is repeated behind it.
 */

import { isSource, type Node } from '../../../graph/node-store.ts';
import { byteSize } from '../../../graph/types.ts';
import { elementAt, valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import { hloType, type Value } from '../hlo-type.ts';

export class RecomputeBarriers {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** The schedule index of each node's last reader. */
  private readonly lastUses: ReadonlyMap<Node, number>;
  /** Gradients, newest last: a barrier that reads one cannot be passed before the backward pass has started. */
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
    // Weights that are combined with a value behind a barrier need no barrier of their own.
    const guarded =
      kept.length < node.inputs.length || kept.some(input => !isSource(input)) ? kept.filter(input => !isSource(input)) : kept;
    // A weight is unpacked again for each use: if it were shared between uses, all weights of a block would be in memory at once.
    const known = node.transient ? new Map<Node, Value>() : this.behind;
    const missing = [...new Set(guarded)].filter(input => !known.has(input));
    if (missing.length > 0) {
      const held = this.behindGradients(missing.map(input => this.valueOf(input)));
      for (const [i, input] of missing.entries()) known.set(input, elementAt(held, i));
    }
    return node.inputs.map(input => (guarded.includes(input) ? valueFor(known, input) : this.valueOf(input)));
  }

  /** Returns values that cannot be read before the newest gradients are available. */
  behindGradients(values: readonly Value[]): readonly Value[] {
    const gradients = this.newGradients();
    const held = [...new Set(gradients.map(heldFor))];
    const results = this.emitter.barrier([...values, ...held.map(each => this.valueOf(each))]);
    for (const [i, gradient] of held.entries()) this.values.set(gradient, elementAt(results, values.length + i));
    for (const gradient of gradients) if (!held.includes(gradient)) this.values.set(gradient, this.fromHeld(gradient));
    return results.slice(0, values.length);
  }

  /** Call after the node's value has been emitted. */
  made(node: Node): void {
    if (isGradient(node)) this.gradients.push(node);
    this.at++;
  }

  /** Returns gradients that are read again later: all since the previous barrier, or the newest. */
  private newGradients(): readonly Node[] {
    const alive = this.gradients.filter(node => (this.lastUses.get(node) ?? 0) > this.at);
    this.gradients = alive.slice(-1);
    return alive;
  }

  private fromHeld(gradient: Node): Value {
    const held = this.valueOf(heldFor(gradient));
    return gradient.op === 'broadcast' ? this.emitter.stretch(held, gradient.shape) : this.emitter.convert(held, hloType(gradient.dtype));
  }

  private valueOf(node: Node): Value {
    return valueFor(this.values, node);
  }
}

const isGradient = (node: Node): boolean => node.phase > 0 && !node.recomputed && !isSource(node);

/**
 * Returns the value that represents a gradient at a barrier. A loop's result has a buffer of its own type, whichever type it is read in, and a
 * repeated gradient needs none.
 */
function heldFor(gradient: Node): Node {
  const [input] = gradient.inputs;
  if (!input || byteSize(input) >= byteSize(gradient)) return gradient;
  const isHeld = gradient.op === 'broadcast' ? isGradient(input) : gradient.op === 'cast' && input.op === 'expertProduct';
  return isHeld ? input : gradient;
}
