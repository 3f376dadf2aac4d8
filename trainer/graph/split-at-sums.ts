/**
 * Divides a signature at its sums over processes, for engines whose programs cannot reach the other processes: each part is a program, and
 * the sums that it starts are complete before the next part runs. An operation is in the first part in which its inputs are available, so
 * updates wait for the end of the backward pass, and few parts are enough. Recomputed and unpacked values, and values of feeds and
 * variables only, are in the last part that they may be in.
 */
import { elementAt, valueFor } from '../narrow.ts';
import { aliasedRead, bufferOf, writtenVariables } from './alias.ts';
import { inputsOf, isOp, isSource, type Node } from './node-store.ts';
import type { Signature } from './program.ts';

/** A sum that is started once a part has run. */
export interface PartSum {
  readonly begin: Node<'beginSum'>;
  /** The value of this process. */
  readonly own: Node;
  /** The sum, which later parts receive. */
  readonly sum: Node;
}

export interface SumPart extends Signature {
  /** Sums, and values of earlier parts, that this part reads. */
  readonly given: readonly Node[];
  /** Values that sums or later parts read. */
  readonly kept: readonly Node[];
  readonly sums: readonly PartSum[];
}

/** Returns the parts in order; only the signature itself if nothing is summed, or if devices sum within their program. */
export function splitAtSums(signature: Signature): readonly SumPart[] {
  const { schedule, outputs } = signature;
  if (!isDivided(signature)) return [{ ...signature, given: [], kept: [], sums: [] }];
  const levels = partsOf(schedule);
  const drafts = Array.from({ length: 1 + Math.max(...levels.values()) }, () => new Draft());
  /** Makes a value available in a part. */
  const need = (node: Node, at: number): void => {
    const draft = elementAt(drafts, at);
    if (isThere(node)) {
      draft.nodes.add(node);
      for (const input of node.inputs) need(input, at);
    } else if (isOp(node, 'endSum')) draft.given.add(node);
    else if (valueFor(levels, node) < at) {
      draft.given.add(node);
      elementAt(drafts, valueFor(levels, node)).kept.add(node);
    }
  };
  for (const node of schedule) {
    const at = valueFor(levels, node);
    if (isOp(node, 'beginSum')) {
      const [own] = inputsOf(node, 1);
      need(own, at);
      elementAt(drafts, at).kept.add(own);
    } else if (isOp(node, 'endSum')) {
      const [begin] = inputsOf(node, 1);
      if (isOp(begin, 'beginSum')) elementAt(drafts, at - 1).sums.push({ begin, own: inputsOf(begin, 1)[0], sum: node });
    } else if (!isThere(node) && !isOp(node, 'group')) {
      elementAt(drafts, at).nodes.add(node);
      for (const input of node.inputs) need(input, at);
    }
  }
  for (const [name, node] of Object.entries(outputs)) {
    need(node, valueFor(levels, node));
    elementAt(drafts, valueFor(levels, node)).outputs[name] = node;
  }
  return drafts.map(draft => draft.finish(schedule));
}

/** Returns the same signature in the order in which its parts run. */
export function orderedBySums(signature: Signature): Signature {
  const { schedule } = signature;
  if (!isDivided(signature)) return signature;
  const levels = partsOf(schedule);
  // Sums are complete before a part starts, and are started after it has run.
  const places = (node: Node): number => (isOp(node, 'endSum') ? 0 : isOp(node, 'beginSum') ? 2 : 1);
  const placeOf = (node: Node): number => 3 * valueFor(levels, node) + places(node);
  return { ...signature, schedule: schedule.toSorted((a, b) => placeOf(a) - placeOf(b)) };
}

class Draft {
  readonly nodes = new Set<Node>();
  readonly given = new Set<Node>();
  readonly kept = new Set<Node>();
  readonly sums: PartSum[] = [];
  readonly outputs: Record<string, Node> = {};

  finish(whole: readonly Node[]): SumPart {
    const schedule = whole.filter(node => this.nodes.has(node));
    const feeds = schedule.filter((node): node is Node<'feed'> => isOp(node, 'feed'));
    // All processes start their sums in this order.
    const sums = this.sums.toSorted((a, b) => a.begin.id - b.begin.id);
    return { schedule, feeds, outputs: this.outputs, given: [...this.given], kept: [...this.kept], sums };
  }
}

const isDivided = ({ schedule, replicas }: Signature): boolean => replicas === undefined && schedule.some(node => isOp(node, 'beginSum'));

/** Returns true for feeds, constants, variables and views of them: they are in every part that reads them. */
const isThere = (node: Node): boolean => isSource(bufferOf(node));

/** Returns the part of each node, from 0. */
function partsOf(schedule: readonly Node[]): ReadonlyMap<Node, number> {
  return earliest(schedule, latest(schedule, earliest(schedule, new Map())));
}

/** Returns the first part that each node can be in. @param floors minimum parts of nodes that should be in a later one */
function earliest(schedule: readonly Node[], floors: ReadonlyMap<Node, number>): ReadonlyMap<Node, number> {
  const levels = new Map<Node, number>();
  /** The part of each variable's last update, and the last part that reads it before its next update. */
  const [written, read] = [new Map<string, number>(), new Map<string, number>()];
  for (const node of schedule) {
    const changed = writtenVariables(node);
    const used = isOp(node, 'read') ? [node.attrs.variable] : changed;
    const behind = isOp(node, 'endSum') ? 1 : 0;
    const level = Math.max(
      floors.get(node) ?? 0,
      ...node.inputs.map(input => valueFor(levels, input) + behind),
      ...used.map(variable => written.get(variable) ?? 0),
      ...changed.map(variable => read.get(variable) ?? 0),
    );
    levels.set(node, level);
    for (const variable of changed) written.set(variable, level);
    for (const value of [node, ...node.inputs]) {
      const variable = aliasedRead(value)?.attrs.variable;
      if (variable !== undefined) read.set(variable, Math.max(level, read.get(variable) ?? 0));
    }
  }
  return levels;
}

/** Returns the parts of values that may be computed late: the part of their first reader, so that no part keeps them for another. */
function latest(schedule: readonly Node[], levels: ReadonlyMap<Node, number>): ReadonlyMap<Node, number> {
  const floors = new Map<Node, number>();
  const firstReader = new Map<Node, number>();
  for (const node of schedule.toReversed()) {
    const mayWait = node.recomputed || node.transient || node.inputs.every(isThere);
    const floor = mayWait ? firstReader.get(node) : undefined;
    if (floor !== undefined) floors.set(node, floor);
    const at = (floor ?? valueFor(levels, node)) - (isOp(node, 'endSum') ? 1 : 0);
    for (const input of node.inputs) firstReader.set(input, Math.min(at, firstReader.get(input) ?? at));
  }
  return floors;
}
