/** Which tensors are alive when: the memory of a signature, known before it runs. */
import type { Step } from './fusion/plan.ts';
import type { Node } from './graph.ts';
import { ruleOf } from './op-table.ts';
import type { Signature } from './program.ts';
import { byteSize } from './types.ts';

export interface Liveness {
  /** Bytes alive while each step runs, its outputs included; variables and constants are not counted. */
  readonly bytes: Float64Array;
  /** The most alive at once. */
  readonly peakBytes: number;
  /** The step at which that is. */
  readonly peakAt: number;
}

/** Walks the steps in the order in which engines run them: a buffer lives from the step that makes it to the last that reads it. */
export function liveness({ outputs }: Pick<Signature, 'outputs'>, steps: readonly Step[]): Liveness {
  const ownerOf = findOwners(steps);
  const dying = findDying(steps, Object.values(outputs), ownerOf);
  const bytes = new Float64Array(steps.length);
  let alive = 0;
  let peakAt = 0;
  steps.forEach((step, i) => {
    const dies = new Set(dying[i]);
    const made = step.nodes.filter(node => ownerOf(node) === node);
    const size = made.reduce((sum, node) => sum + byteSize(node), 0);
    bytes[i] = alive + size - takenOver(step, dies, ownerOf);
    if ((bytes[i] as number) > (bytes[peakAt] as number)) peakAt = i;
    alive += size;
    for (const owner of dies) alive -= byteSize(owner);
  });
  return { bytes, peakBytes: bytes[peakAt] ?? 0, peakAt };
}

type OwnerOf = (node: Node) => Node | undefined;

/** Bytes of what a step gives that lie in the memory of something that nobody reads after it. */
function takenOver({ nodes, reads, program }: Step, dies: ReadonlySet<Node>, ownerOf: OwnerOf): number {
  const taken = new Set<Node>();
  let bytes = 0;
  for (const node of nodes) {
    const candidates = program ? (program.takesOver.get(node) ?? []) : ruleOf(node.op).buffer === 'reuse' ? reads : [];
    const found = candidates
      .map(ownerOf)
      .find(owner => owner && owner !== node && dies.has(owner) && !taken.has(owner) && byteSize(owner) === byteSize(node));
    if (!found) continue;
    taken.add(found);
    bytes += byteSize(node);
  }
  return bytes;
}

/** For each node the one whose buffer it uses; undefined for variables and constants, which live outside. */
function findOwners(steps: readonly Step[]): OwnerOf {
  const owners = new Map<Node, Node | undefined>();
  for (const { nodes, program } of steps)
    for (const node of nodes) {
      const outside = node.op === 'constant' || node.op === 'read';
      const isView = program === undefined && ruleOf(node.op).buffer === 'view';
      owners.set(node, outside ? undefined : isView ? owners.get(node.inputs[0] as Node) : node);
    }
  return node => owners.get(node);
}

/** For each step the owners whose buffers nobody reads after it; what is given out is in no list. */
function findDying(steps: readonly Step[], outputs: readonly Node[], ownerOf: OwnerOf): (Node[] | undefined)[] {
  const lastUse = new Map<Node, number>();
  steps.forEach(({ nodes, reads }, i) => {
    for (const used of [...nodes, ...reads]) {
      const owner = ownerOf(used);
      if (owner) lastUse.set(owner, i);
    }
  });
  for (const output of outputs) {
    const owner = ownerOf(output);
    if (owner) lastUse.delete(owner);
  }
  const dying: (Node[] | undefined)[] = new Array(steps.length);
  for (const [owner, at] of lastUse) {
    const list = dying[at];
    if (list) list.push(owner);
    else dying[at] = [owner];
  }
  return dying;
}

/** Floating-point operations of one run. */
export const signatureFlops = (signature: Signature): number =>
  signature.schedule.reduce(
    (sum, node) => sum + (ruleOf(node.op).flops as (i: readonly Node[], o: Node, a: object) => number)(node.inputs, node, node.attrs),
    0,
  );
