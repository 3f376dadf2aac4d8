/**
 * Sums gradients over the processes of a run. Small gradients are sent together, because every sum costs its latency, whatever its size.
 */
import type { Graph, Node } from '../graph/graph.ts';
import type { SumType } from '../graph/sum-forms.ts';
import { elementCount } from '../graph/types.ts';
import type { UpdateGroup } from './update-group.ts';

/**
 * Gradients with fewer elements are joined. Joining and splitting copy a gradient twice, which takes about 50 µs for this many elements,
 * roughly the latency of a sum over a few ranks of a fast network. The copies do not overlap with the backward pass, so larger gradients
 * are sent alone.
 */
const SMALL = 2 ** 16;
/** Joined gradients are sent once they have this many elements: latency is then a small part of the time of their sum. */
const FULL = 2 ** 18;

export interface GroupGradient {
  readonly group: UpdateGroup;
  readonly gradient: Node;
}

/** A sum in progress, of one gradient or of several joined ones. */
export interface BegunSum<G extends GroupGradient> {
  readonly members: readonly G[];
  readonly sum: Node;
}

export class GradientExchange<G extends GroupGradient> {
  private readonly graph: Graph;
  private readonly type: SumType | undefined;
  private waiting: G[] = [];

  constructor(graph: Graph, type: SumType | undefined) {
    this.graph = graph;
    this.type = type;
  }

  /** Adds a gradient of this process. @returns the sum that starts now, if any */
  add(own: G): BegunSum<G> | undefined {
    if (countOf(own) >= SMALL) return this.begin([own]);
    this.waiting.push(own);
    return this.waiting.reduce((sum, each) => sum + countOf(each), 0) >= FULL ? this.flush() : undefined;
  }

  /** Starts the sum of the small gradients that are still waiting to be joined. */
  flush(): BegunSum<G> | undefined {
    const members = this.waiting;
    this.waiting = [];
    return members.length === 0 ? undefined : this.begin(members);
  }

  /** Waits for a sum. Returns the gradients summed over all processes. */
  finish({ members, sum }: BegunSum<G>): G[] {
    const { graph } = this;
    const total = graph.endSum(sum);
    if (members.length === 1) return members.map(member => ({ ...member, gradient: total }));
    let begin = 0;
    return members.map(member => {
      const part = graph.sliceAxis(total, 0, begin, countOf(member));
      begin += countOf(member);
      return { ...member, gradient: graph.reshape(part, member.group.shape) };
    });
  }

  private begin(members: readonly G[]): BegunSum<G> {
    const { graph, type } = this;
    const [first] = members;
    if (first === undefined) throw new RangeError('a sum of nothing');
    const isAlone = members.length === 1;
    const own = isAlone
      ? first.gradient
      : graph.concat(
          members.map(member => graph.reshape(member.gradient, [countOf(member)])),
          0,
        );
    return { members, sum: graph.beginSum(own, type, isAlone ? first.group.name : `${first.group.name} with ${members.length - 1} more`) };
  }
}

const countOf = ({ group }: Pick<GroupGradient, 'group'>): number => elementCount(group.shape);

/** The largest number of elements of a sum of these groups. */
export function largestSum(groups: readonly UpdateGroup[]): number {
  const counts = groups.map(group => countOf({ group }));
  const joined = counts.filter(count => count < SMALL).reduce((sum, count) => sum + count, 0);
  return Math.max(...counts, Math.min(joined, FULL + SMALL));
}
