/**
 * Keeps the largest buffers in the order of the graph. XLA schedules by data dependencies alone, and removes its barriers before it
 * schedules: if parts of a batch are computed one after the other, it may compute all of them first and use them later. So an operation
 * that allocates a large buffer waits for the readers of the previous one: 0 times an element of each reader is added to its smallest
 * input. Random masks depend only on their seed, so XLA may draw the random bits of all blocks at the start, 4 bytes per element, and
 * compute each mask from them wherever it is read: each mask waits for the value computed before it, and is protected by a barrier.
 */

import { bufferOf } from '../../../graph/alias.ts';
import { type BufferWait, bufferWaits, hasBuffer } from '../../../graph/buffer-waits.ts';
import type { Node } from '../../../graph/node-store.ts';
import { worksByElement } from '../../../graph/ops/elementwise.ts';
import { sameShape } from '../../../graph/types.ts';
import { valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

export class BufferOrder {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  private readonly waits: ReadonlyMap<Node, BufferWait>;
  /** Products, and values computed from them, that are joined later: XLA would hold the parts of their sums until then. */
  private readonly parts: ReadonlySet<Node>;
  /** The newest floating-point value. */
  private last: Value | undefined;

  constructor(emitter: Emitter, values: Map<Node, Value>, schedule: readonly Node[]) {
    this.emitter = emitter;
    this.values = values;
    this.waits = bufferWaits(schedule);
    this.parts = joinedProducts(schedule);
  }

  /** Returns the inputs of an operation; if it allocates a large buffer, one of them waits. */
  ordered(node: Node, inputs: readonly Value[]): readonly Value[] {
    const { last } = this;
    if (isDrawn(node)) return last ? inputs.map(seed => this.emitter.after(seed, [last])) : inputs;
    const wait = this.waits.get(node);
    if (!wait) return inputs;
    const readers = wait.readers.map(each => valueFor(this.values, each));
    return inputs.map((input, i) => (i === wait.input ? this.emitter.after(input, readers) : input));
  }

  /** Call after the node's value has been emitted. */
  made(node: Node): void {
    if (this.parts.has(node) || isDrawn(node)) {
      const [held] = this.emitter.barrier([valueFor(this.values, node)]);
      if (held) this.values.set(node, held);
    }
    if (hasBuffer(node)) this.last = valueFor(this.values, node);
  }
}

function joinedProducts(schedule: readonly Node[]): ReadonlySet<Node> {
  const products = new Set<Node>();
  const joined = new Set<Node>();
  for (const node of schedule) {
    const owners = node.inputs.map(bufferOf);
    const isOfProduct = worksByElement(node.op) && owners.some(owner => products.has(owner) && sameShape(owner.shape, node.shape));
    if (node.op === 'matmul' || isOfProduct) products.add(node);
    if (node.op === 'concat') for (const owner of owners) if (products.has(owner)) joined.add(owner);
  }
  return joined;
}

const isDrawn = ({ op }: Node): boolean => op === 'randomMask';
