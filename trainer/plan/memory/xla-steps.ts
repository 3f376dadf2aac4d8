/**
 * Models how XLA fuses a schedule on a GPU, for its memory: an operation that works element by element has no buffer of its own where
 * it is computed within those that read it. XLA decides that by the bytes that are moved, as here. The factor was set by eight steps compiled
 * for an H100 (bench/results/cards.md).
 */
import { bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { worksByElement } from '../../graph/ops/elementwise.ts';
import type { Signature } from '../../graph/program.ts';
import { byteSize } from '../../graph/types.ts';

/** They can be computed within those that read them, as can those that work element by element. */
const COMPUTED_WITHIN: ReadonlySet<OpName> = new Set<OpName>(['broadcast', 'slice', 'transpose', 'pad', 'oneHot', 'gather']);

/** They read buffers only. */
const READ_BUFFERS: ReadonlySet<OpName> = new Set<OpName>([
  'matmul',
  'conv2d',
  'conv2dInputGrad',
  'conv2dFilterGrad',
  'expertProduct',
  'expertGradient',
  'concat',
]);

/** A factor: computing something several times has to save more than that moves. */
const CAUTION = 1.5;
/** A factor: of something that is larger than a result by this, only a part is read for it, as of the table of a lookup. */
const MOST_OF_A_READ = 4;

const isView = (node: Node): boolean => bufferOf(node) !== node;
const isComputed = ({ op }: Node): boolean => worksByElement(op) || COMPUTED_WITHIN.has(op);

/** One step for each buffer, in the order of the schedule; what it reads are buffers too. */
export function xlaSteps({ schedule, outputs }: Pick<Signature, 'schedule' | 'outputs'>): Step[] {
  const readers = readersOf(schedule);
  const given = new Set(Object.values(outputs));
  /** By an operation that has no buffer, those that it is computed from. */
  const sources = new Map<Node, readonly Node[]>();
  const steps: Step[] = [];
  for (const node of schedule) {
    const reads = [...new Set(node.inputs.flatMap(input => sources.get(input) ?? [input]))];
    const all = readers.get(node) ?? [];
    const mayBeWithin = !given.has(node) && all.length > 0 && !all.some(({ op }) => READ_BUFFERS.has(op));
    const isOfNone = isView(node) ? node.inputs.some(input => sources.has(input)) : isComputed(node) && saves(node, reads, all.length);
    if (mayBeWithin && isOfNone) sources.set(node, reads);
    else steps.push({ nodes: [node], reads });
  }
  return steps;
}

/** Those that read a value, themselves or through views of it. */
function readersOf(schedule: readonly Node[]): ReadonlyMap<Node, readonly Node[]> {
  const found = new Map<Node, Node[]>();
  const add = (node: Node, readers: readonly Node[]): void => void found.set(node, [...(found.get(node) ?? []), ...readers]);
  // Readers come after what they read.
  for (const node of schedule.toReversed()) for (const input of node.inputs) add(input, isView(node) ? (found.get(node) ?? []) : [node]);
  return found;
}

/** Whether it moves fewer bytes to compute the node in each of its readers than to write its buffer and read that. */
function saves(node: Node, reads: readonly Node[], readers: number): boolean {
  const own = byteSize(node);
  const read = reads.reduce((sum, each) => sum + Math.min(byteSize(each), MOST_OF_A_READ * own), 0);
  return CAUTION * readers * read < read + own + readers * own;
}
