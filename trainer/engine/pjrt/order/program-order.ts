/**
 * Keeps a program in the order of its graph. XLA schedules by data dependencies alone, shares equal expressions, and recomputes values in
 * their readers: each file of this folder adds something to the program that prevents one of these from costing memory.
 */

import type { Node } from '../../../graph/node-store.ts';
import type { SeparatePart } from '../../../graph/program.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';
import { BufferOrder } from './buffer-order.ts';
import { HostWeights, weightsByPart } from './host-weights.ts';
import { KeptBarriers } from './kept-barriers.ts';
import { NarrowStateOrder } from './narrow-state-order.ts';
import { RecomputeBarriers } from './recompute-barriers.ts';
import { WriteBarriers } from './write-barriers.ts';

interface ProgramOrderParams {
  readonly emitter: Emitter;
  /** The value of each operation so far; classes of this folder replace values. */
  readonly values: Map<Node, Value>;
  readonly schedule: readonly Node[];
  /** Weights in the host's memory that are moved for their uses, by variable. */
  readonly hostWeights: ReadonlyMap<string, SeparatePart | undefined>;
  /** Reads a variable. */
  readonly get: (variable: string) => Value;
  /** Returns the newest value of a variable, in whichever memory it is. */
  readonly newest: (variable: string) => Value;
}

export class ProgramOrder {
  private readonly newest: ProgramOrderParams['newest'];
  private readonly recomputed: RecomputeBarriers;
  private readonly writes: WriteBarriers;
  private readonly buffers: BufferOrder;
  private readonly keeps: KeptBarriers;
  private readonly narrow: NarrowStateOrder;
  private readonly hosted: HostWeights;

  constructor({ emitter, values, schedule, hostWeights, get, newest }: ProgramOrderParams) {
    const lastUses = new Map(schedule.flatMap(({ inputs }, i) => inputs.map(input => [input, i] as const)));
    this.newest = newest;
    this.recomputed = new RecomputeBarriers(emitter, values, lastUses);
    this.writes = new WriteBarriers({ emitter, values, schedule, weightOf: weightsByPart(hostWeights) });
    this.buffers = new BufferOrder(emitter, values, schedule);
    this.keeps = new KeptBarriers(emitter, values, schedule);
    this.narrow = new NarrowStateOrder(emitter, values, schedule);
    this.hosted = new HostWeights({ emitter, values, recomputed: this.recomputed, weights: hostWeights, get });
  }

  /** Returns the values that an operation reads. Call once, before it is lowered. */
  inputsOf(node: Node): readonly Value[] {
    this.hosted.moveFor(node);
    return this.buffers.ordered(node, this.writes.guarded(node, this.recomputed.inputsOf(node)));
  }

  /** Call after the node's value has been emitted. */
  made(node: Node): void {
    this.hosted.made(node);
    this.keeps.made(node);
    this.narrow.made(node, this.newest);
    this.buffers.made(node);
    this.recomputed.made(node);
    this.writes.made(node);
  }
}
