/**
 * Makes the compiler keep the tensors that the graph keeps for the backward pass. XLA also keeps other forms of such a tensor if the
 * forward pass has a buffer for them: the halves of a key's rotation in addition to the whole key, or a value both before and after its
 * transpose. So a tensor that the graph marks as kept is read through a barrier in both passes. A gradient that is read whole and in part is
 * read through a barrier as well, or XLA would compute the part from the inputs of the gradient.
 */

import { keptTensors } from '../../../graph/kept-tensors.ts';
import type { Node } from '../../../graph/node-store.ts';
import { valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

export class KeptBarriers {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  private readonly kept: ReadonlySet<Node>;

  constructor(emitter: Emitter, values: Map<Node, Value>, schedule: readonly Node[]) {
    this.emitter = emitter;
    this.values = values;
    this.kept = keptTensors(schedule);
  }

  /** Call after the node's value has been emitted. */
  made(node: Node): void {
    if (!this.kept.has(node)) return;
    const [held] = this.emitter.barrier([valueFor(this.values, node)]);
    if (held) this.values.set(node, held);
  }
}
