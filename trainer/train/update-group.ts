/** Trainables that are updated together: one set of optimizer operations for the chosen rows of several layers of a block. */

import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import { chosenOf, type Trainable } from '../method/method.ts';
import { elementAt } from '../narrow.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';

export interface UpdateGroup {
  /** The name prefix of its optimizer state and its summed gradient. */
  readonly name: string;
  /** The members, in the order of their values in the group. */
  readonly members: readonly Trainable[];
  /**
   * Shape of the members' trained parameters: stacked for rows (or the columns' parts of them), flattened and concatenated for whole
   * variables.
   */
  readonly shape: readonly number[];
}

/**
 * Groups the members of one batch (see `Trainable.batch`); any other trainable is a group of its own. A Llama block has two groups instead
 * of seven, which saves a third of the step's operations and two thirds of its state variables. Whole variables are joined only for 8-bit
 * moments, whose update takes about sixty operations; in 32 bits, the engine updates each with a single operation.
 */
export function updateGroups(trainables: readonly Trainable[], optimizer: OptimizerSettings): UpdateGroup[] {
  const batches = new Map<string, Trainable[]>();
  for (const trainable of trainables) {
    const isJoined = trainable.batch !== undefined && (chosenOf(trainable) !== undefined || isEightBitAdam(optimizer));
    // The members of a group share one decay and one learning rate.
    const { batch, undecayed, rateFactor = 1 } = trainable;
    const key = isJoined ? `batch ${batch}${undecayed ? ', undecayed' : ''}, rate ${rateFactor}` : `alone ${trainable.name}`;
    batches.set(key, [...(batches.get(key) ?? []), trainable]);
  }
  return [...batches.values()].map(members => {
    const first = elementAt(members, 0);
    if (members.length === 1) return { name: first.name, members, shape: first.shape };
    const name = `${first.name} and ${members.length - 1} more`;
    const total = members.reduce((sum, member) => sum + extent(member), 0);
    return { name, members, shape: chosenOf(first) ? [total, ...first.shape.slice(1)] : [total] };
  });
}

/** True if there are moments, and large ones are stored in 8 bits. */
export const isEightBitAdam = ({ name, eightBitFrom }: OptimizerSettings): boolean => name !== 'sgd' && eightBitFrom !== undefined;

/** A member's size along the first axis of a group with several members. */
const extent = (member: Trainable): number => (chosenOf(member) ? (member.shape[0] as number) : elementCount(member.shape));

/** The variable for a group's gradients, summed over batches. */
export const gradientVariable = (group: UpdateGroup): VariableSpec => ({
  name: `${group.name}.gradient`,
  shape: group.shape,
  dtype: 'float32',
});

/** Joins one tensor per member into one of the group's shape. */
export function joinMembers(graph: Graph, { members }: UpdateGroup, parts: readonly Node[]): Node {
  const isFlat = members.length > 1 && !chosenOf(elementAt(members, 0));
  return graph.concat(isFlat ? parts.map(part => graph.reshape(part, [elementCount(part.shape)])) : parts, 0);
}

/** The inverse of `joinMembers`. */
export function splitMembers(graph: Graph, { members }: UpdateGroup, joined: Node): Node[] {
  if (members.length === 1) return [joined];
  let begin = 0;
  return members.map(member => {
    const part = graph.sliceAxis(joined, 0, begin, extent(member));
    begin += extent(member);
    return graph.reshape(part, member.shape);
  });
}

export const isOffloaded = ({ offload }: Pick<OptimizerSettings, 'offload'>, { shape }: Pick<UpdateGroup, 'shape'>): boolean =>
  offload !== undefined && elementCount(shape) >= offload.from;
