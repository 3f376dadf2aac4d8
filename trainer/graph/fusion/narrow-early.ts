/** The pass `narrow-early`: casts to fewer bytes move next to the last reader of the wide value. */
import type { Node } from '../graph.ts';
import { inputsOf } from '../node-store.ts';
import { byteSize } from '../types.ts';
import { isView } from './fusible.ts';
import type { Schedule } from './schedule.ts';
import { FUSION_THRESHOLDS } from './thresholds.ts';

const isNarrowing = (node: Node): boolean => node.op === 'cast' && byteSize(node) < byteSize(inputsOf(node, 1)[0]);

/**
 * Returns a chain of moves from `first` on, each read by nothing else, up to and including a cast to fewer bytes; empty if there is no such
 * cast.
 */
export function narrowingChain(first: Node | undefined, schedule: Schedule): readonly Node[] {
  const chain: Node[] = [];
  for (let next = first; next && next.inputs.length === 1 && !schedule.outputs.has(next); ) {
    chain.push(next);
    if (isNarrowing(next)) return chain;
    const readers: readonly Node[] = schedule.readersOf(next);
    next = isView(next) && readers.length === 1 ? readers[0] : undefined;
  }
  return [];
}

/**
 * Returns the nodes with each narrowing chain right after the last other reader of the wide value. Less memory is held, and the step that
 * computes the wide value can store the narrow one.
 */
export function narrowedEarly(schedule: Schedule): readonly Node[] {
  const after = new Map<Node, Node[]>();
  const early = new Set<Node>();
  for (const node of schedule.nodes) {
    if (early.has(node)) continue;
    const [reader, other = node] = schedule.readersOf(node).slice(-2).reverse();
    const isSoon = schedule.indexOf(other) - schedule.indexOf(node) <= FUSION_THRESHOLDS.soonNodes;
    const before = isSoon ? node : other;
    const chain = reader && !schedule.isKept(node) ? narrowingChain(reader, schedule) : [];
    if (chain.length > 0) after.set(before, [...(after.get(before) ?? []), ...chain]);
    for (const each of chain) early.add(each);
  }
  const withFollowers = (node: Node): Node[] => [node, ...(after.get(node) ?? []).flatMap(withFollowers)];
  return schedule.nodes.filter(node => !early.has(node)).flatMap(withFollowers);
}
