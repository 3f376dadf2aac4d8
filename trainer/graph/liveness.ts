/** Liveness of tensors: the memory of a signature, known before it runs. */
import { elementAt } from '../narrow.ts';
import { isPlain, type Step } from './fusion/step.ts';
import type { Node } from './graph.ts';
import type { Span } from './heap-packing.ts';
import { inputsOf } from './node-store.ts';
import { ruleOf } from './op-table.ts';
import type { Signature } from './program.ts';
import { type ReadersOf, readersIn } from './readers.ts';
import { byteSize, type TensorSpec } from './types.ts';

/** A copy that several nodes may read, identified by its name. */
export interface CopiedFirst {
  readonly name: string;
  readonly bytes: number;
}

/** How an engine holds tensors. */
export interface BufferRules {
  /** Stored size of a tensor in bytes. */
  bytes(spec: TensorSpec): number;
  /** True if the output lives outside the schedule: in a variable, or with the program. */
  isOutside(node: Node): boolean;
  /** True if the output shares the buffer of the first input. */
  isView(node: Node): boolean;
  /** True if the output may take over the buffer of an input that is last read here. */
  reuses(node: Node): boolean;
  /** Bytes that the node's kernel allocates for itself while it runs. */
  scratchBytes(node: Node): number;
  /** True if the output is allocated from the first step on; omitted if no output is. @param readers the nodes that read it */
  isAllocatedAtStart?(node: Node, readers: readonly Node[]): boolean;
  /** Copies of the node's inputs that exist from the first step on; omitted if there are none. @param readersOf the nodes that read one */
  copiesAtStart?(node: Node, readersOf: ReadersOf): readonly CopiedFirst[];
  /**
   * Present if all buffers share one block. `hole`: one gap remains in it, about as large as the largest buffer. `best fit`: each is placed
   * as XLA places it (`heap-packing.ts`), and `packedBytes` of the spans is the size of the block.
   */
  readonly packs?: 'hole' | 'best fit';
}

/** TensorFlow's rules: tensors replace dead ones, and variables are updated in place. */
export const COMPILED_BUFFERS: BufferRules = {
  bytes: byteSize,
  isOutside: ({ op }) => op === 'constant' || op === 'read',
  isView: ({ op }) => ruleOf(op).buffer === 'view',
  reuses: ({ op }) => ruleOf(op).buffer === 'reuse',
  scratchBytes: () => 0,
};

export interface Liveness {
  /** Bytes alive while each step runs, including its outputs; values that live outside the schedule do not count. */
  readonly bytes: Float64Array;
  /** Maximum of `bytes`. */
  readonly peakBytes: number;
  /** Step at which the maximum occurs. */
  readonly peakAt: number;
  /** Returns the buffers, each with the first and last step of its lifetime. A buffer that another value takes over counts once. */
  readonly spans: () => readonly Span[];
}

/** Walks the steps in execution order: a buffer lives from the step that writes it to the last step that reads it. */
export function liveness(signature: Pick<Signature, 'outputs'>, steps: readonly Step[], rules: BufferRules = COMPILED_BUFFERS): Liveness {
  const lives = livesOf(signature, steps, rules);
  const { owners, lastUse, there, copies, taken, addedAt } = lives;
  const [freed, bytes] = [new Float64Array(steps.length), new Float64Array(steps.length)];
  const free = (until: number, own: number): void => {
    if (until !== KEPT) freed[until] = (freed[until] as number) + own;
  };
  for (const { until, bytes: own } of copies) free(until, own);
  let alive = bytesOf([...there], rules) + copies.reduce((sum, copy) => sum + copy.bytes, 0);
  if (rules.packs === 'hole') alive += largestOf(steps, owners, rules, there);
  let peakAt = 0;
  steps.forEach((step, i) => {
    let size = 0;
    let scratch = 0;
    for (const node of step.nodes) {
      scratch = Math.max(scratch, scratchOf(step, node, rules));
      if (owners[node.id] !== node) continue;
      const own = step.partBytes ?? rules.bytes(node);
      if (!there.has(node)) size += own;
      free(addedAt.get(node) ?? (lastUse[node.id] as number), own);
    }
    for (const node of readAfter(step, i, lastUse)) {
      size += rules.bytes(node);
      free(lastUse[node.id] as number, rules.bytes(node));
    }
    bytes[i] = alive + size + scratch - bytesOf([...elementAt(taken, i).keys()], rules);
    if ((bytes[i] as number) > (bytes[peakAt] as number)) peakAt = i;
    alive += size - (freed[i] as number);
  });
  return { bytes, peakBytes: bytes[peakAt] ?? 0, peakAt, spans: () => spansOf(lives, steps, rules) };
}

/** The buffers of the steps, and their lifetimes. */
interface Lifetimes {
  readonly owners: Owners;
  /** The last step that reads each owner's buffer, by the owner's id. */
  readonly lastUse: Int32Array;
  /** Nodes that are allocated from the first step on. */
  readonly there: ReadonlySet<Node>;
  readonly copies: ReturnType<typeof copiesAtStart>;
  /** The results of each step that take over buffers: see {@link takenOver}. */
  readonly taken: readonly ReadonlyMap<Node, Node>[];
  /** The step that adds the partial sums of each result. */
  readonly addedAt: ReadonlyMap<Node, number>;
}

function livesOf({ outputs }: Pick<Signature, 'outputs'>, steps: readonly Step[], rules: BufferRules): Lifetimes {
  const owners = findOwners(steps, rules);
  const lastUse = findLastUses(steps, Object.values(outputs), owners);
  const addedAt = new Map(steps.flatMap(({ adds = [] }, i) => adds.map(node => [node, i] as const)));
  const dies = (owner: Node, i: number): boolean => lastUse[owner.id] === i && addedAt.get(owner) !== i;
  const taken = steps.map((step, i) => takenOver(step, owner => dies(owner, i), owners, rules));
  return { owners, lastUse, there: thereFirst(steps, owners, rules), copies: copiesAtStart(steps, rules), taken, addedAt };
}

/** Returns the bytes that the kernels of a step allocate for themselves, without the partial sums that another step adds. */
const scratchOf = ({ partBytes = 0, heldBytes = 0 }: Step, node: Node, rules: BufferRules): number =>
  heldBytes + Math.max(0, rules.scratchBytes(node) - partBytes);

/** Returns the results whose partial sums a step adds and that later steps read. */
const readAfter = ({ adds = [] }: Step, at: number, lastUse: Int32Array): readonly Node[] => adds.filter(node => lastUse[node.id] !== at);

const bytesOf = (nodes: readonly Node[], rules: BufferRules): number => nodes.reduce((sum, node) => sum + rules.bytes(node), 0);

/** The node whose buffer each node uses, by node id; undefined for values that live outside the schedule. */
type Owners = readonly (Node | undefined)[];

/** Returns the nodes that are allocated from the first step on. */
function thereFirst(steps: readonly Step[], owners: Owners, rules: BufferRules): ReadonlySet<Node> {
  const { isAllocatedAtStart } = rules;
  if (!isAllocatedAtStart) return new Set();
  const made = steps.flatMap(({ nodes }) => nodes.filter(node => owners[node.id] === node));
  const readers = new Map<Node | undefined, Node[]>(made.map(node => [node, []]));
  for (const { nodes, reads } of steps) for (const { id } of reads) readers.get(owners[id])?.push(...nodes);
  return new Set(made.filter(node => isAllocatedAtStart(node, readers.get(node) ?? [])));
}

/** Returns each copy with the last step that reads it. */
function copiesAtStart(steps: readonly Step[], rules: BufferRules): readonly { readonly bytes: number; readonly until: number }[] {
  if (!rules.copiesAtStart) return [];
  const copies = new Map<string, { bytes: number; until: number }>();
  const readersOf = readersIn(steps.flatMap(({ nodes }) => nodes));
  for (const [until, { nodes }] of steps.entries())
    for (const node of nodes) for (const { name, bytes } of rules.copiesAtStart(node, readersOf)) copies.set(name, { bytes, until });
  return [...copies.values()];
}

/** Returns true in the forward pass. The backward pass and the updates run when much of the block is free. */
const isForward = ({ phase }: Node): boolean => phase === 0;

const largestOf = (steps: readonly Step[], owners: Owners, rules: BufferRules, there: ReadonlySet<Node>): number => {
  const holes = steps.flatMap(({ nodes }) => nodes.filter(node => owners[node.id] === node && !there.has(node) && isForward(node)));
  return holes.reduce((most, node) => Math.max(most, rules.bytes(node)), 0);
};

/** Marks a value that is an output, and so is never freed, in place of its last use. */
const KEPT = -1;

/** Returns the results of a step that take over the memory of a value that dies in it, each with that value. */
function takenOver(step: Step, dies: (owner: Node) => boolean, owners: Owners, rules: BufferRules): ReadonlyMap<Node, Node> {
  const { nodes, reads, program } = step;
  const taken = new Set<Node>();
  const found = new Map<Node, Node>();
  for (const node of nodes) {
    const candidates = program ? (program.takesOver.get(node) ?? []) : isPlain(step) && !step.isFresh && rules.reuses(node) ? reads : [];
    for (const candidate of candidates) {
      const owner = owners[candidate.id];
      if (!owner || owner === node || taken.has(owner) || !dies(owner) || rules.bytes(owner) !== rules.bytes(node)) continue;
      taken.add(owner);
      found.set(node, owner);
      break;
    }
  }
  return found;
}

function spansOf(
  { owners, lastUse, there, copies, taken, addedAt }: Lifetimes,
  steps: readonly Step[],
  rules: BufferRules,
): readonly Span[] {
  const until = (node: Node): number => (lastUse[node.id] === KEPT ? steps.length : (lastUse[node.id] as number));
  const spans: Span[] = copies.map(({ bytes, until: last }) => ({ bytes, first: 0, last }));
  const own = new Map<Node, { bytes: number; first: number; last: number }>();
  steps.forEach((step, i) => {
    for (const node of step.nodes) {
      const scratch = scratchOf(step, node, rules);
      if (scratch > 0) spans.push({ bytes: scratch, first: i, last: i });
      if (owners[node.id] !== node) continue;
      const from = elementAt(taken, i).get(node);
      const before = from && own.get(from);
      const span = before ?? { bytes: step.partBytes ?? rules.bytes(node), first: there.has(node) ? 0 : i, last: i };
      span.last = addedAt.get(node) ?? until(node);
      if (addedAt.has(node)) spans.push(span);
      else own.set(node, span);
    }
    for (const node of readAfter(step, i, lastUse)) own.set(node, { bytes: rules.bytes(node), first: i, last: until(node) });
  });
  return [...spans, ...new Set(own.values())];
}

function findOwners(steps: readonly Step[], rules: BufferRules): Owners {
  const owners: (Node | undefined)[] = new Array(1 + lastId(steps));
  for (const step of steps)
    for (const node of step.nodes) {
      const isView = isPlain(step) && rules.isView(node);
      owners[node.id] = rules.isOutside(node) ? undefined : isView ? owners[inputsOf(node, 1)[0].id] : node;
    }
  return owners;
}

/** Returns the last step that reads each owner's buffer, by the owner's id. */
function findLastUses(steps: readonly Step[], outputs: readonly Node[], owners: Owners): Int32Array {
  const lastUse = new Int32Array(owners.length);
  const use = (node: Node, at: number): void => {
    const owner = owners[node.id];
    if (owner) lastUse[owner.id] = at;
  };
  steps.forEach(({ nodes, reads }, i) => {
    for (const node of nodes) use(node, i);
    for (const read of reads) use(read, i);
  });
  for (const output of outputs) use(output, KEPT);
  return lastUse;
}

function lastId(steps: readonly Step[]): number {
  let last = -1;
  for (const { nodes } of steps) for (const { id } of nodes) last = Math.max(last, id);
  return last;
}

/** Returns the floating-point operations of one run of these nodes. */
export const nodesFlops = (nodes: readonly Node[]): number =>
  nodes.reduce((sum, node) => sum + ruleOf(node.op).flops(node.inputs, node, node.attrs), 0);
