/** The end of a backward pass: gradients become updates, or are accumulated. */
import type { Graph, Node } from '../graph/graph.ts';
import type { Trainable } from '../method/method.ts';
import { elementAt, valueFor } from '../narrow.ts';
import { type BegunSum, GradientExchange, type GroupGradient } from './gradient-exchange.ts';
import { declareFeeds, update } from './optimizer.ts';
import { accumulates, type TraceParams } from './training-params.ts';
import { gradientVariable, joinMembers, type UpdateGroup, updateGroups } from './update-group.ts';

interface Arrived extends GroupGradient {
  readonly block: number;
}

/**
 * Handles each gradient as it arrives, according to the settings: updates at once, holds it back for clipping, or accumulates it. With
 * several processes a gradient is sent as soon as it exists, small ones together, and its update waits until the next one is sent, so that
 * communication overlaps with computation.
 */
export class GradientSink {
  private readonly graph: Graph;
  private readonly params: TraceParams;
  private readonly feeds: ReturnType<typeof declareFeeds> | undefined;
  private readonly groupOf = new Map<Trainable, UpdateGroup>();
  /** Gradients of groups that are still incomplete. */
  private readonly arrived = new Map<Trainable, Node>();
  private readonly held: Arrived[] = [];
  private readonly exchange: GradientExchange<Arrived>;
  /** Sums to wait for at the end. */
  private readonly begun: BegunSum<Arrived>[] = [];
  private leaving: BegunSum<Arrived> | undefined;
  private readonly effects: Node[] = [];
  private squares: Node | undefined;

  constructor(graph: Graph, params: TraceParams) {
    this.graph = graph;
    this.params = params;
    this.exchange = new GradientExchange(graph, params.exchangeType);
    this.feeds = accumulates(params) ? undefined : declareFeeds(graph);
    for (const group of updateGroups(params.attachment.trainables, params.optimizer))
      for (const member of group.members) this.groupOf.set(member, group);
  }

  /** @param block that uses the variable */
  take(trainable: Trainable, gradient: Node, block: number): void {
    this.arrived.set(trainable, gradient);
    const group = valueFor(this.groupOf, trainable);
    const parts = group.members.map(member => this.arrived.get(member));
    if (parts.every(part => part !== undefined)) this.takeGroup(group, joinMembers(this.graph, group, parts), block);
  }

  private takeGroup(group: UpdateGroup, gradient: Node, block: number): void {
    const { graph } = this;
    if (!this.feeds) {
      graph.declare(gradientVariable(group));
      this.effects.push(graph.assignAdd(gradientVariable(group).name, gradient));
      return;
    }
    if (graph.parts.count === 1) {
      this.takeSum({ group, gradient, block });
      return;
    }
    this.leave(this.exchange.add({ group, gradient, block }));
  }

  private leave(begun: BegunSum<Arrived> | undefined): void {
    if (!begun) return;
    if (this.params.maxGradNorm > 0) this.begun.push(begun);
    else {
      this.endLeaving();
      this.leaving = begun;
    }
  }

  private endLeaving(): void {
    for (const sum of this.leaving ? this.end(this.leaving) : []) this.graph.within({ block: sum.block }, () => this.takeSum(sum));
    this.leaving = undefined;
  }

  private end(begun: BegunSum<Arrived>): Arrived[] {
    return this.graph.within({ block: elementAt(begun.members, 0).block }, () => this.exchange.finish(begun));
  }

  /** @param sum whose gradient is that of the whole batch */
  private takeSum(sum: Arrived): void {
    const { graph, params } = this;
    this.addSquare(sum.gradient);
    if (params.maxGradNorm > 0) this.held.push(sum);
    else if (this.feeds) this.effects.push(...update(graph, { settings: params.optimizer, ...sum, feeds: this.feeds }));
  }

  private addSquare(gradient: Node): void {
    const square = squaredNorm(this.graph, gradient);
    this.squares = this.squares ? this.graph.add(this.squares, square) : square;
  }

  /** Returns the gradients that were held back, for the whole batch. */
  private endHeld(): Arrived[] {
    const { graph } = this;
    if (graph.parts.count === 1) return this.held;
    return graph.within({ phase: 2 }, () =>
      this.begun.flatMap(begun => {
        const sums = this.end(begun);
        for (const { gradient } of sums) this.addSquare(gradient);
        return sums;
      }),
    );
  }

  finish(): { effects: Node[]; outputs: Record<string, Node> } {
    const { graph, params, feeds } = this;
    this.leave(this.exchange.flush());
    this.endLeaving();
    const held = this.endHeld();
    const { squares } = this;
    if (!feeds || !squares) return { effects: this.effects, outputs: {} };
    const norm = graph.sqrt(squares);
    if (held.length > 0) {
      const scale = clipScale(graph, norm, params.maxGradNorm);
      for (const { group, gradient, block } of held)
        graph.within({ phase: 2, block }, () =>
          this.effects.push(...update(graph, { settings: params.optimizer, group, gradient: graph.mul(gradient, scale), feeds })),
        );
    }
    return { effects: this.effects, outputs: { gradNorm: norm } };
  }
}

/** Sums along the last axis first: a fused step then squares and sums in one pass, without a second tensor of the gradient's size. */
export const squaredNorm = (graph: Graph, gradient: Node): Node => graph.sumAll(graph.sum(graph.square(gradient), [-1]));

/** PyTorch's clip_grad_norm_: min(1, most / (norm + 1e-6)). */
export const clipScale = (graph: Graph, norm: Node, most: number): Node =>
  graph.minimum(graph.div(graph.scalar(most), graph.add(norm, 1e-6)), 1);
