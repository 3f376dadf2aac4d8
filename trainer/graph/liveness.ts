/** Which tensors are alive when: the memory of a signature, known before it runs. */
import type { Node } from './graph.ts';
import { ruleOf } from './op-table.ts';
import type { Signature } from './program.ts';
import { byteSize } from './types.ts';

export interface Liveness {
  /** Bytes alive while each node of the schedule runs, its output included; variables and constants are not counted. */
  readonly bytes: Float64Array;
  /** The most alive at once. */
  readonly peakBytes: number;
  /** Where in the schedule that is. */
  readonly peakAt: number;
}

/** Walks a schedule in the order in which engines run it: a buffer lives from the node that makes it to the last that reads it. */
export function liveness(signature: Signature): Liveness {
  const { schedule } = signature;
  const order = new Map(schedule.map((node, i) => [node, i]));
  const owners = schedule.map(() => -1);
  const lastUse = new Map<number, number>();
  schedule.forEach((node, i) => {
    owners[i] = ownerOf(node, i, order, owners);
    for (const input of node.inputs) touch(owners[order.get(input) as number] as number, i);
  });
  for (const output of Object.values(signature.outputs)) touch(owners[order.get(output) as number] as number, schedule.length);

  function touch(owner: number, at: number): void {
    if (owner >= 0) lastUse.set(owner, Math.max(lastUse.get(owner) ?? at, at));
  }

  const dying = new Map<number, number[]>();
  for (const [owner, at] of lastUse) dying.set(at, [...(dying.get(at) ?? []), owner]);
  const bytes = new Float64Array(schedule.length);
  let alive = 0;
  let peakAt = 0;
  schedule.forEach((node, i) => {
    const dies = dying.get(i) ?? [];
    const size = owners[i] === i ? byteSize(node) : 0;
    const takesOver = size > 0 && ruleOf(node.op).buffer === 'reuse' && dies.some(owner => isInput(node, owner) && byteSize(schedule[owner] as Node) === size);
    bytes[i] = alive + (takesOver ? 0 : size);
    if (bytes[i] > (bytes[peakAt] as number)) peakAt = i;
    alive += size;
    for (const owner of dies) alive -= byteSize(schedule[owner] as Node);
    if (owners[i] === i && !lastUse.has(i)) alive -= size;
  });

  function isInput(node: Node, owner: number): boolean {
    return node.inputs.some(input => owners[order.get(input) as number] === owner);
  }
  return { bytes, peakBytes: bytes[peakAt] ?? 0, peakAt };
}

/** The place of the node whose buffer this one uses; −1 for variables and constants, which live outside. */
function ownerOf(node: Node, at: number, order: ReadonlyMap<Node, number>, owners: readonly number[]): number {
  if (node.op === 'constant' || node.op === 'read') return -1;
  if (ruleOf(node.op).buffer !== 'view') return at;
  return owners[order.get(node.inputs[0] as Node) as number] as number;
}

/** Floating-point operations of one run. */
export const signatureFlops = (signature: Signature): number =>
  signature.schedule.reduce((sum, node) => sum + (ruleOf(node.op).flops as (i: readonly Node[], o: Node, a: object) => number)(node.inputs, node, node.attrs), 0);
