/** Decides which forward values are kept for the backward pass and which are recomputed. */
import { elementAt } from '../narrow.ts';
import type { Graph, Node } from './graph.ts';
import { inputsOf, isSource } from './node-store.ts';
import { ruleOf } from './op-table.ts';

/**
 * none: everything is kept. cheap: products are kept and cheap operations recomputed. block: only the input of each block is kept. sqrt:
 * only the input of every ⌈√blocks⌉-th block is kept (Chen et al. 2016).
 */
export const RECOMPUTE_POLICIES = ['none', 'cheap', 'block', 'sqrt'] as const;
export type RecomputePolicy = (typeof RECOMPUTE_POLICIES)[number];

/** Returns the number of blocks per group under `sqrt`. */
export const sqrtBlocks = (blocks: number): number => Math.ceil(Math.sqrt(blocks));

/** Returns true for a weight whose element type is changed: it is as large as the weight, so it is never kept. */
const isWeightView = (node: Node): boolean => ruleOf(node.op).rowwise === true && isSource(inputsOf(node, 1)[0]);

/**
 * Returns true for one value per row, such as a mean square: it costs nothing to keep. Slices can have the same shape but be large, so they
 * do not count.
 */
const isStatistic = ({ op, shape }: Node): boolean => shape.at(-1) === 1 && op !== 'slice';

/**
 * Returns forward values to the backward pass. Copies live only as long as their block's backward pass, so each backward pass gets its own.
 */
export class Rematerializer {
  private readonly graph: Graph;
  private readonly policy: RecomputePolicy;
  private readonly stride: number;
  private copies = new Map<Node, Node>();
  private block = -1;
  /** Copies of the block inputs of the current group, under `sqrt`. */
  private starts = new Map<Node, Node>();
  private group = -1;

  /** @param groupBlocks blocks per group under `sqrt` */
  constructor(graph: Graph, policy: RecomputePolicy, groupBlocks: number) {
    this.graph = graph;
    this.policy = policy;
    this.stride = policy === 'sqrt' ? groupBlocks : 1;
  }

  /** Returns the value of a forward node for the backward pass of a block. */
  value(node: Node, block: number): Node {
    if (block !== this.block) {
      this.copies = new Map();
      this.block = block;
      if (block >= 0) this.enter(Math.floor(block / this.stride), block);
    }
    return this.find(node, this.copies);
  }

  /** Recomputes the block inputs of a group from its first one, which is kept, and drops the activations inside the blocks. */
  private enter(group: number, last: number): void {
    if (group === this.group) return;
    this.group = group;
    this.starts = new Map();
    for (let block = group * this.stride + 1; block <= last; block++) {
      const start = elementAt(this.graph.boundaries, block);
      this.starts.set(start, this.copy(start, new Map()));
    }
  }

  private find(node: Node, copies: Map<Node, Node>): Node {
    if (this.isKept(node)) return node;
    const known = this.starts.get(node) ?? copies.get(node);
    if (known) return known;
    const made = this.copy(node, copies);
    // Each use of an unpacked weight unpacks it again: if it were held between uses, all weights of a block would be in memory at once.
    if (!node.transient) copies.set(node, made);
    return made;
  }

  private copy(node: Node, copies: Map<Node, Node>): Node {
    const inputs = node.inputs.map(input => this.find(input, copies));
    const made = this.graph.within({ recomputed: true, block: node.block, cheap: node.cheap, transient: node.transient }, () =>
      this.graph.node(node.op, inputs, node.attrs),
    );
    if (node.kept) made.kept = true;
    return made;
  }

  private isKept(node: Node): boolean {
    if (isSource(node) || node.recomputed || node.phase > 0) return true;
    if (node.transient || isWeightView(node)) return false;
    if (this.policy === 'none' || node.block < 0 || node.shared) return true;
    if (node.boundary) return this.policy !== 'sqrt' || this.graph.boundaries.indexOf(node) % this.stride === 0;
    return this.policy === 'cheap' && (node.kept === true || (ruleOf(node.op).costly === true && !node.cheap) || isStatistic(node));
  }
}
