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
export function liveness({ schedule, outputs }: Signature): Liveness {
  const { owners, ownerOf } = findOwners(schedule);
  const dying = findDying(schedule, Object.values(outputs), ownerOf);
  const sizes = Float64Array.from(schedule, (node, i) => (owners[i] === i ? byteSize(node) : 0));
  const bytes = new Float64Array(schedule.length);
  let alive = 0;
  let peakAt = 0;
  schedule.forEach((node, i) => {
    const dies = dying[i] ?? [];
    const size = sizes[i] as number;
    const takesOver =
      size > 0 &&
      ruleOf(node.op).buffer === 'reuse' &&
      dies.some(owner => sizes[owner] === size && node.inputs.some(input => ownerOf(input) === owner));
    bytes[i] = alive + (takesOver ? 0 : size);
    if ((bytes[i] as number) > (bytes[peakAt] as number)) peakAt = i;
    alive += size;
    for (const owner of dies) alive -= sizes[owner] as number;
  });
  return { bytes, peakBytes: bytes[peakAt] ?? 0, peakAt };
}

/** For each place the place of the node whose buffer it uses; −1 for variables and constants, which live outside. */
function findOwners(schedule: readonly Node[]): { owners: Int32Array; ownerOf: (node: Node) => number } {
  const places = new Int32Array((schedule.at(-1)?.id ?? -1) + 1);
  const owners = new Int32Array(schedule.length);
  const ownerOf = (node: Node): number => owners[places[node.id] as number] as number;
  schedule.forEach((node, i) => {
    places[node.id] = i;
    const outside = node.op === 'constant' || node.op === 'read';
    owners[i] = outside ? -1 : ruleOf(node.op).buffer === 'view' ? ownerOf(node.inputs[0] as Node) : i;
  });
  return { owners, ownerOf };
}

/** For each place the owners whose buffers nobody reads after it; what is given out is in no list. */
function findDying(schedule: readonly Node[], outputs: readonly Node[], ownerOf: (node: Node) => number): (number[] | undefined)[] {
  const lastUse = new Int32Array(schedule.length);
  schedule.forEach((node, i) => {
    lastUse[i] = i;
    for (const input of node.inputs) {
      const owner = ownerOf(input);
      if (owner >= 0) lastUse[owner] = i;
    }
  });
  for (const output of outputs) {
    const owner = ownerOf(output);
    if (owner >= 0) lastUse[owner] = schedule.length;
  }
  const dying: (number[] | undefined)[] = new Array(schedule.length);
  lastUse.forEach((at, owner) => {
    const list = dying[at];
    if (list) list.push(owner);
    else if (at < schedule.length) dying[at] = [owner];
  });
  return dying;
}

/** Floating-point operations of one run. */
export const signatureFlops = (signature: Signature): number =>
  signature.schedule.reduce(
    (sum, node) => sum + (ruleOf(node.op).flops as (i: readonly Node[], o: Node, a: object) => number)(node.inputs, node, node.attrs),
    0,
  );
