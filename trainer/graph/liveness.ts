/** Which tensors are alive when: the memory of a signature, known before it runs. */
import type { Step } from './fusion/plan.ts';
import type { Node } from './graph.ts';
import { ruleOf } from './op-table.ts';
import type { Signature } from './program.ts';
import { byteSize, type TensorSpec } from './types.ts';

/** How an engine holds tensors. */
export interface BufferRules {
  /** Of a tensor as it is stored. */
  bytes(spec: TensorSpec): number;
  /** The output lives outside of the schedule: in a variable, or with the program. */
  isOutside(node: Node): boolean;
  /** The output is the buffer of the first input. */
  isView(node: Node): boolean;
  /** The output may take over the buffer of an input that ends here. */
  reuses(node: Node): boolean;
  /** What its kernel holds for itself while it runs. */
  scratchBytes(node: Node): number;
}

/** Tensors in place of others and updates in place: TensorFlow. */
export const COMPILED_BUFFERS: BufferRules = {
  bytes: byteSize,
  isOutside: ({ op }) => op === 'constant' || op === 'read',
  isView: ({ op }) => ruleOf(op).buffer === 'view',
  reuses: ({ op }) => ruleOf(op).buffer === 'reuse',
  scratchBytes: () => 0,
};

export interface Liveness {
  /** Bytes alive while each step runs, its outputs included; what lives outside is not counted. */
  readonly bytes: Float64Array;
  /** The most alive at once. */
  readonly peakBytes: number;
  /** The step at which that is. */
  readonly peakAt: number;
}

/** Walks the steps in the order in which engines run them: a buffer lives from the step that makes it to the last that reads it. */
export function liveness({ outputs }: Pick<Signature, 'outputs'>, steps: readonly Step[], rules: BufferRules = COMPILED_BUFFERS): Liveness {
  const ownerOf = findOwners(steps, rules);
  const dying = findDying(steps, Object.values(outputs), ownerOf);
  const bytes = new Float64Array(steps.length);
  let alive = 0;
  let peakAt = 0;
  steps.forEach((step, i) => {
    const dies = new Set(dying[i]);
    const made = step.nodes.filter(node => ownerOf(node) === node);
    const size = made.reduce((sum, node) => sum + rules.bytes(node), 0);
    const scratch = step.nodes.reduce((most, node) => Math.max(most, rules.scratchBytes(node)), 0);
    bytes[i] = alive + size + scratch - takenOver(step, dies, ownerOf, rules);
    if ((bytes[i] as number) > (bytes[peakAt] as number)) peakAt = i;
    alive += size;
    for (const owner of dies) alive -= rules.bytes(owner);
  });
  return { bytes, peakBytes: bytes[peakAt] ?? 0, peakAt };
}

type OwnerOf = (node: Node) => Node | undefined;

/** Bytes of what a step gives that lie in the memory of something that nobody reads after it. */
function takenOver({ nodes, reads, program }: Step, dies: ReadonlySet<Node>, ownerOf: OwnerOf, rules: BufferRules): number {
  const taken = new Set<Node>();
  let bytes = 0;
  for (const node of nodes) {
    const candidates = program ? (program.takesOver.get(node) ?? []) : rules.reuses(node) ? reads : [];
    const found = candidates
      .map(ownerOf)
      .find(owner => owner && owner !== node && dies.has(owner) && !taken.has(owner) && rules.bytes(owner) === rules.bytes(node));
    if (!found) continue;
    taken.add(found);
    bytes += rules.bytes(node);
  }
  return bytes;
}

/** For each node the one whose buffer it uses; undefined for what lives outside. */
function findOwners(steps: readonly Step[], rules: BufferRules): OwnerOf {
  const owners = new Map<Node, Node | undefined>();
  for (const { nodes, program } of steps)
    for (const node of nodes) {
      const isView = program === undefined && rules.isView(node);
      owners.set(node, rules.isOutside(node) ? undefined : isView ? owners.get(node.inputs[0] as Node) : node);
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

/** Floating-point operations of one run of these nodes. */
export const nodesFlops = (nodes: readonly Node[]): number =>
  nodes.reduce(
    (sum, node) => sum + (ruleOf(node.op).flops as (i: readonly Node[], o: Node, a: object) => number)(node.inputs, node, node.attrs),
    0,
  );

/** Floating-point operations of one run. */
export const signatureFlops = ({ schedule }: Signature): number => nodesFlops(schedule);
