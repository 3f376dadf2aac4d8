/** Finds the steps between which an offloaded variable, stored in a file or in the host's memory, has to be loaded. */
import { elementAt, valueFor } from '../narrow.ts';
import { aliasedRead, bufferOf, writtenVariables } from './alias.ts';
import type { Step } from './fusion/step.ts';
import type { Node } from './graph.ts';
import { inputsOf, isBackward, isOp } from './node-store.ts';
import type { Signature } from './program.ts';

/** A range of steps, both ends included. */
export interface UsedFor {
  readonly first: number;
  readonly last: number;
}

/** Returns, for each of these variables that the signature reads or changes, the first and the last step that uses it. */
export function usesOf(
  { outputs }: Pick<Signature, 'outputs'>,
  steps: readonly Step[],
  variables: ReadonlySet<string>,
): Map<string, UsedFor> {
  const uses = new Map<string, UsedFor>();
  if (variables.size === 0) return uses;
  const use = (variable: string | undefined, at: number): void => {
    if (variable === undefined || !variables.has(variable)) return;
    uses.set(variable, { first: uses.get(variable)?.first ?? at, last: at });
  };
  const given = new Set(Object.values(outputs));
  // An engine may take over the buffer of a value that it assigns, so a later reader of the value reads the variable.
  const adopted = new Map<Node, string>();
  steps.forEach(({ nodes, reads }, i) => {
    for (const node of reads) {
      use(aliasedRead(node)?.attrs.variable, i);
      use(adopted.get(bufferOf(node)), i);
    }
    for (const node of nodes) {
      if (given.has(node)) use(aliasedRead(node)?.attrs.variable, i);
      for (const variable of writtenVariables(node)) use(variable, i);
      if (isOp(node, 'assign')) adopted.set(bufferOf(inputsOf(node, 1)[0]), node.attrs.variable);
    }
  });
  return uses;
}

/** Returns a key of the block and pass of a node: a weight in the host's memory is moved to the device once per key. */
export const passOfBlock = (node: Pick<Node, 'recomputed' | 'phase' | 'block'>): string =>
  `${isBackward(node) ? 'backward' : 'forward'} ${node.block}`;

/**
 * Returns the bytes on the device, at each step, of weights stored in the host's memory: each from its first to its last use in a pass of a
 * block.
 * @param sizes bytes by name
 */
export function movedAt(steps: readonly Step[], sizes: ReadonlyMap<string, number>): Float64Array {
  const found = new Float64Array(steps.length);
  const open = new Map<string, UsedFor>();
  const close = (): void => {
    for (const [variable, { first, last }] of open)
      for (let at = first; at <= last; at++) found[at] = (found[at] as number) + valueFor(sizes, variable);
    open.clear();
  };
  let pass = '';
  steps.forEach(({ nodes, reads }, i) => {
    for (const read of reads) {
      const variable = aliasedRead(read)?.attrs.variable;
      if (variable === undefined || !sizes.has(variable)) continue;
      const own = passOfBlock(elementAt(nodes, 0));
      if (own !== pass) close();
      pass = own;
      open.set(variable, { first: open.get(variable)?.first ?? i, last: i });
    }
  });
  close();
  return found;
}

/** Returns the peak bytes of these variables that are loaded at the same time. @param sizes bytes by name */
export function peakLoadedBytes(signature: Pick<Signature, 'outputs'>, steps: readonly Step[], sizes: ReadonlyMap<string, number>): number {
  const change = new Float64Array(steps.length + 1);
  for (const [variable, { first, last }] of usesOf(signature, steps, new Set(sizes.keys()))) {
    const bytes = valueFor(sizes, variable);
    change[first] = (change[first] as number) + bytes;
    change[last + 1] = (change[last + 1] as number) - bytes;
  }
  let atHand = 0;
  return change.reduce((most, each) => {
    atHand += each;
    return Math.max(most, atHand);
  }, 0);
}
