/** Trainables that are updated together: one set of optimizer arithmetic for the chosen rows of several layers of a block. */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import type { Trainable } from '../method/method.ts';

export interface UpdateGroup {
  /** Names its optimizer state and its summed gradient. */
  readonly name: string;
  /** In the order in which their rows stand in the group. */
  readonly members: readonly Trainable[];
  /** Of the members' trained numbers, one under the other. */
  readonly shape: readonly number[];
}

/**
 * Groups the members of one batch (see `Trainable.batch`); any other is a group of its own. A block of a Llama has two groups instead of
 * seven, which makes a third of the step's operations and two thirds of its state variables unnecessary.
 */
export function updateGroups(trainables: readonly Trainable[]): UpdateGroup[] {
  const batches = new Map<string, Trainable[]>();
  for (const trainable of trainables) {
    const key = trainable.batch === undefined ? `alone ${trainable.name}` : `batch ${trainable.batch}`;
    batches.set(key, [...(batches.get(key) ?? []), trainable]);
  }
  return [...batches.values()].map(members => {
    const [first] = members as [Trainable];
    const rows = members.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    return members.length === 1
      ? { name: first.name, members, shape: first.shape }
      : { name: `${first.name} and ${members.length - 1} more`, members, shape: [rows, ...first.shape.slice(1)] };
  });
}

/** The gradients of a group, summed over batches. */
export const gradientVariable = (group: UpdateGroup): VariableSpec => ({
  name: `${group.name}.gradient`,
  shape: group.shape,
  dtype: 'float32',
});

/** The parts of a joined tensor, one for each member. */
export function splitMembers(graph: Graph, { members }: UpdateGroup, joined: Node): Node[] {
  let begin = 0;
  return members.map(({ shape }) => {
    const part = members.length === 1 ? joined : graph.sliceAxis(joined, 0, begin, shape[0] as number);
    begin += shape[0] as number;
    return part;
  });
}
