/** Facts about a schedule that the fusion passes query: positions, readers, writes and barriers. */
import { valueFor } from '../../narrow.ts';
import { aliasedRead, writtenVariables } from '../alias.ts';
import type { Node } from '../graph.ts';
import { isSource } from '../node-store.ts';
import { ruleOf } from '../op-table.ts';
import { type ReadersOf, readersIn } from '../readers.ts';
import { isFusible } from './fusible.ts';

/** Number of places per schedule entry: room for aliases that are inserted just before their first use, and for aliases of those. */
const SPACING = 1024;

export class Schedule {
  readonly nodes: readonly Node[];
  readonly outputs: ReadonlySet<Node>;
  private readonly readers: ReadersOf;
  private readonly places = new Map<Node, number>();
  /** The number of barriers before each position. */
  private readonly barriers: Int32Array;
  /** The places at which each variable is written. */
  private readonly writes = new Map<string, number[]>();

  constructor(nodes: readonly Node[], outputs: Iterable<Node>) {
    this.nodes = nodes;
    this.outputs = new Set(outputs);
    this.readers = readersIn(nodes);
    this.barriers = new Int32Array(nodes.length + 1);
    nodes.forEach((node, i) => {
      const place = i * SPACING;
      this.places.set(node, place);
      for (const variable of writtenVariables(node)) this.writes.set(variable, [...(this.writes.get(variable) ?? []), place]);
      this.barriers[i + 1] = (this.barriers[i] as number) + (isBarrier(node) ? 1 : 0);
    });
  }

  placeOf(node: Node): number {
    return valueFor(this.places, node);
  }

  indexOf(node: Node): number {
    return this.placeOf(node) / SPACING;
  }

  /** Returns the last place before `place` that is not the place of a scheduled node. */
  justBefore(place: number): number {
    return place - 1;
  }

  readersOf(node: Node): readonly Node[] {
    return this.readers(node);
  }

  /** Returns true if a node's value exists wherever it is read: sources, outputs, and aliases of variables. */
  isKept(node: Node): boolean {
    return isSource(node) || aliasedRead(node) !== undefined || this.outputs.has(node);
  }

  /** Returns true if only fusible nodes lie between two places, so nodes may move freely there. */
  isFreeBetween(from: number, to: number): boolean {
    const position = (place: number): number => Math.ceil(place / SPACING);
    return this.barriers[position(to)] === this.barriers[position(from) + 1];
  }

  /** Returns true if a variable that a node reads at `at` has changed by `place`. */
  isOverwritten(node: Node, at: number, place: number): boolean {
    return node.inputs.some(input => {
      const read = aliasedRead(input);
      return read !== undefined && (this.writes.get(read.attrs.variable) ?? []).some(write => write > at && write < place);
    });
  }
}

/** Returns true for products and similar operations: while one runs, every value that waits for a later step takes memory. */
const isBarrier = (node: Node): boolean => !isFusible(node) && !isSource(node) && ruleOf(node.op).buffer !== 'view';
