/**
 * The order in which a program allocates its largest buffers: an operation that allocates one waits for the readers of the previous one.
 * The PJRT engine adds this order to its programs (`engine/pjrt/order/buffer-order.ts`), and estimates assume it.
 */

import { elementAt } from '../narrow.ts';
import { bufferOf } from './alias.ts';
import { ancestors, isSource, type Node } from './node-store.ts';
import { byteSize, elementCount } from './types.ts';

/** Buffers of at least this share of the largest one count as large. */
const LARGE_SHARE = 0.5;

/** The readers that an operation waits for. */
export interface BufferWait {
  /** Index of the input that waits. */
  readonly input: number;
  readonly readers: readonly Node[];
}

/** Returns the waits of the operations that allocate large buffers. */
export function bufferWaits(schedule: readonly Node[]): ReadonlyMap<Node, BufferWait> {
  const largest = schedule.reduce((most, node) => (hasBuffer(node) ? Math.max(most, byteSize(node)) : most), 0);
  const isLarge = (node: Node): boolean => hasBuffer(node) && byteSize(node) >= LARGE_SHARE * largest;
  const readers = new Map<Node, Node[]>();
  for (const node of schedule) {
    if (isView(node)) continue;
    for (const owner of new Set(node.inputs.map(bufferOf))) if (isLarge(owner)) readers.set(owner, [...(readers.get(owner) ?? []), node]);
  }
  const found = new Map<Node, BufferWait>();
  let freedBy: Node[] = [];
  for (const node of schedule) {
    if (isLarge(node)) {
      const behind = ancestors(node, freedBy);
      const independent = freedBy.filter(reader => !behind.has(reader));
      const input = smallestMade(node);
      if (independent.length > 0 && input !== undefined) found.set(node, { input, readers: independent });
      freedBy = [];
    }
    for (const owner of new Set(node.inputs.map(bufferOf))) {
      const all = readers.get(owner) ?? [];
      // XLA fuses a large result into its reader, so a reader with a large result does not show when the buffer exists.
      if (all.at(-1) === node) freedBy.push(...all.filter(reader => isNumber(reader) && !isLarge(reader)));
    }
  }
  return found;
}

const isView = (node: Node): boolean => bufferOf(node) !== node;
const isNumber = ({ dtype }: Node): boolean => dtype === 'float32' || dtype === 'bfloat16';

/** Returns whether an operation allocates a buffer of floating-point values. */
export const hasBuffer = (node: Node): boolean => !isView(node) && !isSource(node) && isNumber(node);

/** Returns the index of the smallest input that another operation computes, if there is one. */
function smallestMade({ inputs }: Node): number | undefined {
  const made = inputs.flatMap((input, i) => (isSource(bufferOf(input)) || !isNumber(input) ? [] : [i]));
  const size = (i: number): number => elementCount(elementAt(inputs, i).shape);
  return made.toSorted((a, b) => size(a) - size(b))[0];
}
