/** Trainables that are updated together: one set of optimizer arithmetic for the chosen rows of several layers of a block. */

import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import { chosenOf, type Trainable } from '../method/method.ts';
import { elementAt } from '../narrow.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';

export interface UpdateGroup {
  /** Names its optimizer state and its summed gradient. */
  readonly name: string;
  /** In the order in which their numbers stand in the group. */
  readonly members: readonly Trainable[];
  /** Shape of the members' trained parameters: rows (or the columns' parts of them) stacked, whole variables flattened and concatenated. */
  readonly shape: readonly number[];
}

/**
 * Groups the members of one batch (see `Trainable.batch`); any other is a group of its own. A block of a Llama has two groups instead of
 * seven, which makes a third of the step's operations and two thirds of its state variables unnecessary. Whole variables are joined only
 * for moments in 8 bits, whose update takes some sixty operations; in 32 bits it is one operation of the engine's on each.
 */
export function updateGroups(trainables: readonly Trainable[], optimizer: OptimizerSettings): UpdateGroup[] {
  const batches = new Map<string, Trainable[]>();
  for (const trainable of trainables) {
    const isJoined = trainable.batch !== undefined && (chosenOf(trainable) !== undefined || isEightBitAdam(optimizer));
    // Those of a group share one decay and one learning rate.
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

/** Are there moments, and are those of many numbers in 8 bits? */
export const isEightBitAdam = ({ name, eightBitFrom }: OptimizerSettings): boolean => name !== 'sgd' && eightBitFrom !== undefined;

/** A member's size along the first axis of a group of several. */
const extent = (member: Trainable): number => (chosenOf(member) ? (member.shape[0] as number) : elementCount(member.shape));

/** The gradients of a group, summed over batches. */
export const gradientVariable = (group: UpdateGroup): VariableSpec => ({
  name: `${group.name}.gradient`,
  shape: group.shape,
  dtype: 'float32',
});

/** One tensor of the group's shape from one for each member. */
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
