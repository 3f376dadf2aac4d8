/** Whether a node is worth computing again inside a step, or better read from memory. */
import { aliasedRead } from '../alias.ts';
import type { Node } from '../graph.ts';
import { inputsOf, isSource } from '../node-store.ts';
import { byteSize, elementCount } from '../types.ts';
import { isFusible, isView } from './fusible.ts';
import { FUSION_THRESHOLDS } from './thresholds.ts';

/** Bytes that a node's value occupies while it waits. Sources take none, because they are there in any case. */
export const waitingBytes = (node: Node): number => (isSource(node) || aliasedRead(node) ? 0 : byteSize(node));

/**
 * Whether a node is little more than another name for something that takes no more bytes: the same numbers widened or
 * moved, with a bias added. Every reader reads that instead, so the node need not be stored.
 */
export function isLight(node: Node): boolean {
  let [base, isOther] = [node, false];
  for (let next = lightInput(base); next; next = lightInput(base)) {
    isOther ||= !isView(base);
    base = next;
  }
  return isOther && byteSize(base) <= byteSize(node);
}

/** The operand that a light operation hardly changes. */
function lightInput(node: Node): Node | undefined {
  const [first, second] = node.inputs;
  if (isView(node)) return second ? undefined : first;
  if (isWidening(node)) return first;
  const isArithmetic = node.op === 'add' || node.op === 'sub' || node.op === 'mul';
  const isSmall = second !== undefined && byteSize(second) <= FUSION_THRESHOLDS.lightOperand * byteSize(node);
  return isArithmetic && first && isSmall ? first : undefined;
}

const isWidening = (node: Node): boolean => node.op === 'cast' && byteSize(node) > byteSize(inputsOf(node, 1)[0]);

export interface Surroundings {
  /** The place of the step that would compute the node again. */
  readonly place: number;
  /** Nodes that the step reads in any case. */
  readonly read: ReadonlySet<Node>;
  /** Whether more than one node reads it. */
  readonly isShared: boolean;
  readonly isUsed: (node: Node) => boolean;
  readonly lastUse: (node: Node) => number;
}

/**
 * Whether computing a node again, after a product, costs more than reading it. Its operands must not take more memory while
 * they wait than the node itself (a single number takes nothing). Values that other steps read are there in any case, so
 * reading two of the node's size instead of it is not worth it. Near operands come first, because a stream of sums reaches
 * through all blocks.
 */
export function isDear(node: Node, { place, read, isShared, isUsed, lastUse }: Surroundings): boolean {
  if (elementCount(node.shape) === 1) return true;
  const mostWaiting = isShared ? 0 : byteSize(node);
  const mostPasses = isShared ? 1 : Number.POSITIVE_INFINITY;
  let [waiting, passes] = [0, 0];
  const found = new Set(node.inputs);
  for (const each of found) {
    if (read.has(each)) continue;
    if (isFusible(each) && !isUsed(each)) {
      if (found.size > FUSION_THRESHOLDS.recomputedNodes) return true;
      for (const input of each.inputs) found.add(input);
      continue;
    }
    if (lastUse(each) < place) waiting += waitingBytes(each);
    if (2 * byteSize(each) >= byteSize(node)) passes++;
    if (waiting > mostWaiting || passes > mostPasses) return true;
  }
  return false;
}
