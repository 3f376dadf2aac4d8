/**
 * Keeps the largest buffers in the order of the graph. XLA schedules by data alone, and its barriers are gone before it schedules: of parts of a
 * batch that are computed one after the other, it may compute all first and use them later. So an operation that makes a large buffer waits for
 * the readers of the one before it: 0 times a number of each reader is added to the smallest of its inputs. Random masks read nothing but their
 * seed, so that XLA may draw those of all blocks at the start and compute each from 4 bytes per element wherever it is read: each waits for
 * what was made before it, and is kept as it is.
 */

import { bufferOf } from '../../../graph/alias.ts';
import { ancestors, isSource, type Node } from '../../../graph/node-store.ts';
import { worksByElement } from '../../../graph/ops/elementwise.ts';
import { byteSize, elementCount, sameShape } from '../../../graph/types.ts';
import { elementAt, valueFor } from '../../../narrow.ts';
import type { Emitter } from '../emitter.ts';
import { hloType, isFloating, type Value } from '../hlo-type.ts';

/** A buffer is large from this share of the largest one. */
const LARGE_SHARE = 0.5;

export class BufferOrder {
  private readonly emitter: Emitter;
  private readonly values: Map<Node, Value>;
  /** By an operation that makes a large buffer, those that it waits for. */
  private readonly waitsFor: ReadonlyMap<Node, readonly Node[]>;
  /** Products, and what is computed from them, that are joined later: XLA would hold the parts of their sums until then. */
  private readonly parts: ReadonlySet<Node>;
  /** The newest value that has numbers. */
  private last: Value | undefined;

  constructor(emitter: Emitter, values: Map<Node, Value>, schedule: readonly Node[]) {
    this.emitter = emitter;
    this.values = values;
    this.waitsFor = waits(schedule);
    this.parts = joinedProducts(schedule);
  }

  /** The inputs of an operation, of which one waits where the operation makes a large buffer. */
  ordered(node: Node, inputs: readonly Value[]): readonly Value[] {
    const { last } = this;
    if (isDrawn(node)) return last ? inputs.map(seed => this.emitter.after(seed, [last])) : inputs;
    const waiting = smallestMade(node);
    const earlier = this.waitsFor.get(node)?.map(each => valueFor(this.values, each));
    if (!earlier || waiting === undefined) return inputs;
    return inputs.map((input, i) => (i === waiting ? this.emitter.after(input, earlier) : input));
  }

  /** To be called when the node's value is there. */
  made(node: Node): void {
    if (this.parts.has(node) || isDrawn(node)) {
      const [held] = this.emitter.barrier([valueFor(this.values, node)]);
      if (held) this.values.set(node, held);
    }
    if (hasBuffer(node)) this.last = valueFor(this.values, node);
  }
}

function waits(schedule: readonly Node[]): ReadonlyMap<Node, readonly Node[]> {
  const largest = schedule.reduce((most, node) => (hasBuffer(node) ? Math.max(most, byteSize(node)) : most), 0);
  const isLarge = (node: Node): boolean => hasBuffer(node) && byteSize(node) >= LARGE_SHARE * largest;
  const readers = new Map<Node, Node[]>();
  for (const node of schedule) {
    if (isView(node)) continue;
    for (const owner of new Set(node.inputs.map(bufferOf))) if (isLarge(owner)) readers.set(owner, [...(readers.get(owner) ?? []), node]);
  }
  const found = new Map<Node, readonly Node[]>();
  let freedBy: Node[] = [];
  for (const node of schedule) {
    if (isLarge(node)) {
      const behind = ancestors(node, freedBy);
      const apart = freedBy.filter(reader => !behind.has(reader));
      if (apart.length > 0) found.set(node, apart);
      freedBy = [];
    }
    for (const owner of new Set(node.inputs.map(bufferOf))) {
      const all = readers.get(owner) ?? [];
      // XLA computes a large result within its reader, so those say nothing of when they are there.
      if (all.at(-1) === node) freedBy.push(...all.filter(reader => isNumber(reader) && !isLarge(reader)));
    }
  }
  return found;
}

function joinedProducts(schedule: readonly Node[]): ReadonlySet<Node> {
  const products = new Set<Node>();
  const joined = new Set<Node>();
  for (const node of schedule) {
    const owners = node.inputs.map(bufferOf);
    const isOfProduct = worksByElement(node.op) && owners.some(owner => products.has(owner) && sameShape(owner.shape, node.shape));
    if (node.op === 'matmul' || isOfProduct) products.add(node);
    if (node.op === 'concat') for (const owner of owners) if (products.has(owner)) joined.add(owner);
  }
  return joined;
}

const isDrawn = ({ op }: Node): boolean => op === 'randomMask';
const isView = (node: Node): boolean => bufferOf(node) !== node;
const hasBuffer = (node: Node): boolean => !isView(node) && !isSource(node) && isNumber(node);
const isNumber = ({ dtype }: Node): boolean => isFloating(hloType(dtype));

/** The place of the smallest input that another operation has made, if there is one. */
function smallestMade({ inputs }: Node): number | undefined {
  const made = inputs.flatMap((input, i) => (isSource(bufferOf(input)) || !isNumber(input) ? [] : [i]));
  const size = (i: number): number => elementCount(elementAt(inputs, i).shape);
  return made.toSorted((a, b) => size(a) - size(b))[0];
}
