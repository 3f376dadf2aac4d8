/** Decides whether a node is recomputed inside a step or read from memory. */
import { aliasedRead } from '../alias.ts';
import type { Node } from '../graph.ts';
import { inputsOf, isSource } from '../node-store.ts';
import { byteSize, elementCount } from '../types.ts';
import { isFusible, isView } from './fusible.ts';
import { FUSION_THRESHOLDS } from './thresholds.ts';

/** Returns the bytes that a node's value occupies while it waits to be read. Sources cost nothing, because they exist in any case. */
export const waitingBytes = (node: Node): number => (isSource(node) || aliasedRead(node) ? 0 : byteSize(node));

/**
 * Returns true if a node differs little from an input that takes no more bytes: the same values widened or moved, with a bias added. Every
 * reader reads that input instead, so the node need not be stored.
 */
export function isCheapAlias(node: Node): boolean {
  let [base, isOther] = [node, false];
  for (let next = lightInput(base); next; next = lightInput(base)) {
    isOther ||= !isView(base);
    base = next;
  }
  return isOther && byteSize(base) <= byteSize(node);
}

/** Returns the main operand of a light operation, such as the operand that a bias is added to. */
function lightInput(node: Node): Node | undefined {
  const [first, second] = node.inputs;
  if (isView(node)) return second ? undefined : first;
  if (isWidening(node)) return first;
  const isArithmetic = node.op === 'add' || node.op === 'sub' || node.op === 'mul';
  const isSmall = second !== undefined && byteSize(second) <= FUSION_THRESHOLDS.lightOperand * byteSize(node);
  return isArithmetic && first && isSmall ? first : undefined;
}

const isWidening = (node: Node): boolean => node.op === 'cast' && byteSize(node) > byteSize(inputsOf(node, 1)[0]);

export interface RecomputeContext {
  /** Position of the step that would recompute the node. */
  readonly place: number;
  /** Nodes that the step reads in any case. */
  readonly read: ReadonlySet<Node>;
  /** True if more than one node reads it. */
  readonly isShared: boolean;
  readonly isUsed: (node: Node) => boolean;
  readonly lastUse: (node: Node) => number;
}

/**
 * Returns true if recomputing a node after a product costs more than reading it. While its operands wait, they must not take more memory
 * than the node itself (a one-element operand counts as nothing). Values that other steps read exist in any case, but reading two tensors
 * of the node's size instead of the node does not pay off. Near operands are visited first, because a residual stream reaches through all
 * blocks.
 */
export function isExpensive(node: Node, { place, read, isShared, isUsed, lastUse }: RecomputeContext): boolean {
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
