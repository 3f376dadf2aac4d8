/** The pass `fuse`: nodes join steps from last to first, so that the readers of a node are planned before the node. */
import { elementAt } from '../../narrow.ts';
import { aliasedRead } from '../alias.ts';
import type { Node } from '../graph.ts';
import { inputsOf, isSource } from '../node-store.ts';
import { isPure, ruleOf } from '../op-table.ts';
import { byteSize } from '../types.ts';
import type { BuildMemo } from './build-memo.ts';
import { fewRowsOf, fewRowsReads } from './few-rows.ts';
import { isFusible } from './fusible.ts';
import { narrowingChain } from './narrow-early.ts';
import { isCheapAlias, isExpensive, waitingBytes } from './recompute-cost.ts';
import type { Schedule } from './schedule.ts';
import { isPlain, type Step } from './step.ts';
import { FUSION_THRESHOLDS } from './thresholds.ts';
import { unpackingOf } from './unpacking.ts';

type Builder = Pick<BuildMemo, 'build'>;

/** Returns steps that compute the values of the schedule's nodes. */
export const fuse = (schedule: Schedule, builder: Builder): readonly Step[] => new Fusion(schedule, builder).steps();

/** A step under construction. */
interface Draft extends Step {
  /** Position of the step in the schedule. */
  readonly place: number;
}

/** A program to build, and what is known about it so far. */
interface Build {
  readonly roots: ReadonlySet<Node>;
  readonly place: number;
  /** Nodes that have to be read. */
  readonly forced: Set<Node>;
  /** Nodes that are read in any case. */
  readonly read: ReadonlySet<Node>;
  /** Nodes that are read because recomputing them would keep their operands alive. */
  readonly doubts: Set<Node>;
}

class Fusion {
  private readonly schedule: Schedule;
  private readonly builder: Builder;
  /** The planned steps that read each node. Steps are planned backward, so these are all the steps that run later. */
  private readonly uses = new Map<Node, Set<Draft>>();
  private readonly drafts = new Set<Draft>();
  /** Nodes whose value a planned step produces. */
  private readonly given = new Set<Node>();
  /** The most recently planned fused steps, which a node tries to join; the latest first. */
  private neighbors: readonly Draft[] = [];

  constructor(schedule: Schedule, builder: Builder) {
    this.schedule = schedule;
    this.builder = builder;
  }

  steps(): Step[] {
    for (const node of [...this.schedule.nodes].reverse()) this.plan(node, this.schedule.placeOf(node));
    const inOrder = (nodes: readonly Node[]) => [...nodes].sort((a, b) => this.schedule.placeOf(a) - this.schedule.placeOf(b));
    return [...this.drafts]
      .sort((a, b) => a.place - b.place)
      .map(({ nodes, reads, program, unpacking, fewRows }) => ({
        nodes: inOrder(nodes),
        reads,
        ...(program && { program }),
        ...(unpacking && { unpacking }),
        ...(fewRows && { fewRows }),
      }));
  }

  private plan(node: Node, at: number): void {
    const isWanted = this.schedule.outputs.has(node) || this.usesOf(node).size > 0;
    // Nothing needs the nodes that unpack a weight unless another node reads them.
    if (isPure(node.op) && node.op !== 'feed' && !isWanted) return;
    const [unpacking, fewRows] = [unpackingOf(node), fewRowsOf(node)];
    if (fewRows) this.add({ nodes: [node], reads: fewRowsReads(fewRows), fewRows, place: at });
    else if (unpacking) this.add({ nodes: [node], reads: [unpacking.codes, unpacking.scales], unpacking, place: at });
    else if (!isFusible(node)) this.single(node, at);
    else if (this.isAlias(node)) this.single(node, this.aliasPlace(node, at));
    else if (!this.join(node, at)) this.start(node, at);
  }

  private single(node: Node, place: number): void {
    this.add({ nodes: [node], reads: node.inputs, place });
  }

  /** Returns true if a node only renames a value that exists anyway: a reshape of such a value. */
  private isAlias(node: Node): boolean {
    if (node.op !== 'reshape') return false;
    const [input] = inputsOf(node, 1);
    return (
      !isFusible(input) || this.usesOf(input).size > 0 || this.schedule.outputs.has(input) || this.schedule.readersOf(input).length > 1
    );
  }

  /** Returns the position just before the first use. An alias of a variable stays where it is, because the variable changes. */
  private aliasPlace(node: Node, at: number): number {
    return aliasedRead(node) ? at : Math.max(at, this.schedule.justBefore(this.firstUse(node)));
  }

  private start(node: Node, place: number): void {
    const draft = this.draft([node], place, new Set());
    if (draft) this.add(draft);
    else this.single(node, place);
  }

  /** Lets a planned step also produce this node. @returns true if a step was found */
  private join(node: Node, at: number): boolean {
    const first = this.firstUse(node);
    const shares = largeReadsNear(node);
    for (const draft of this.neighbors) {
      const feeds = draft.reads.includes(node);
      if (draft.place > first || (draft.place === first && !feeds)) continue;
      if (!feeds && !draft.reads.some(read => shares.has(read))) continue;
      const joined = this.joined(draft, node, at);
      if (!joined) continue;
      this.remove(draft);
      this.add(joined);
      return true;
    }
    return false;
  }

  private joined(draft: Draft, node: Node, at: number): Draft | undefined {
    if (this.schedule.isOverwritten(node, at, draft.place)) return undefined;
    const known = new Set(draft.reads.filter(read => read !== node));
    const first = elementAt(draft.nodes, 0);
    // The first root defines the shape that the program iterates over: the larger one, or the one that the others are computed from.
    const last = [...draft.nodes, node];
    for (const roots of byteSize(node) > byteSize(first) ? [[node, ...draft.nodes], last] : [last]) {
      const joined = this.draft(roots, draft.place, known);
      if (!joined) continue;
      // Nodes from here on that no step produces were skipped because nothing needed them, so they cannot be read.
      if (joined.reads.some(read => this.schedule.placeOf(read) >= at && !this.given.has(read))) continue;
      const extended = joined.reads.filter(read => !draft.reads.includes(read) && this.lastUse(read) < draft.place);
      const waiting = extended.reduce((total, read) => total + waitingBytes(read), 0);
      if (this.schedule.isFreeBetween(at, draft.place) || waiting <= byteSize(node)) return joined;
    }
    return undefined;
  }

  /** Builds a step, if possible. @param known nodes that are always read */
  private draft(roots: readonly Node[], place: number, known: ReadonlySet<Node>): Draft | undefined {
    const build: Build = { roots: new Set(roots), place, forced: new Set(known), read: new Set(), doubts: new Set() };
    const first = this.built(roots, build);
    if (!first || build.doubts.size === 0) return first;
    // A node that was read because its operands were not available may find that all of them are now read for other nodes.
    const forced = new Set([...build.forced].filter(node => !build.doubts.has(node)));
    const again = this.built(roots, { ...build, forced, read: new Set(first.reads) });
    return again && again.reads.length < first.reads.length ? again : first;
  }

  /** Builds the program. Each node that cannot be part of it is read instead, and the build starts again. */
  private built(roots: readonly Node[], build: Build): Draft | undefined {
    const { forced, place } = build;
    for (let attempt = 0; attempt < FUSION_THRESHOLDS.buildAttempts; attempt++) {
      const { fused, blockedBy } = this.builder.build({ roots, isRead: node => this.isRead(node, build) });
      if (blockedBy) {
        if (build.roots.has(blockedBy) || forced.has(blockedBy)) return undefined;
        forced.add(this.narrowForm(blockedBy, build));
        continue;
      }
      const { program, reads } = fused;
      const root = elementAt(roots, 0);
      const isBareAlias = root.op === 'reshape' && program.instructions.length === 0 && reads[0] === root.inputs[0];
      return isBareAlias ? undefined : { nodes: roots, reads, program, place };
    }
    return undefined;
  }

  /** Returns the narrow value that a node's only reader casts it to, if there is one: only that value has to exist in memory. */
  private narrowForm(node: Node, { roots, forced }: Build): Node {
    const readers = this.schedule.readersOf(node);
    const reader = readers.length === 1 && !this.schedule.isKept(node) ? readers[0] : undefined;
    const narrow = narrowingChain(reader, this.schedule).at(-1);
    return narrow && !roots.has(narrow) && !forced.has(narrow) ? narrow : node;
  }

  private isRead(node: Node, { roots, place, forced, read, doubts }: Build): boolean {
    if (!isFusible(node) || this.schedule.outputs.has(node) || forced.has(node)) return true;
    for (const use of this.usesOf(node)) if (!use.nodes.some(given => roots.has(given))) return true;
    const at = this.schedule.placeOf(node);
    if (this.schedule.isOverwritten(node, at, place)) return true;
    if (isCheapAlias(node) || this.schedule.isFreeBetween(at, place)) return false;
    const dear = isExpensive(node, {
      place,
      read,
      isShared: this.schedule.readersOf(node).length > 1,
      isUsed: each => this.usesOf(each).size > 0,
      lastUse: each => this.lastUse(each),
    });
    if (dear) doubts.add(node);
    return dear;
  }

  private usesOf(node: Node): ReadonlySet<Draft> {
    return this.uses.get(node) ?? UNUSED;
  }

  private firstUse(node: Node): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { place } of this.usesOf(node)) first = Math.min(first, place);
    return first;
  }

  /** Returns the last position where the value is read, under this name or an alias. */
  private lastUse(node: Node): number {
    if (isSource(node) || this.schedule.outputs.has(node)) return Number.POSITIVE_INFINITY;
    let last = -1;
    for (const use of this.usesOf(node)) {
      const { place, nodes } = use;
      const given = elementAt(nodes, 0);
      const isAlias = isPlain(use) && ruleOf(given.op).buffer === 'view' && given.inputs[0] === node;
      last = Math.max(last, place, isAlias ? this.lastUse(given) : -1);
    }
    return last;
  }

  private add(draft: Draft): void {
    this.drafts.add(draft);
    for (const node of draft.nodes) this.given.add(node);
    if (draft.program) this.neighbors = [draft, ...this.neighbors.slice(0, FUSION_THRESHOLDS.neighborSteps - 1)];
    for (const read of draft.reads) {
      const known = this.uses.get(read);
      if (known) known.add(draft);
      else this.uses.set(read, new Set([draft]));
    }
  }

  private remove(draft: Draft): void {
    this.drafts.delete(draft);
    for (const node of draft.nodes) this.given.delete(node);
    this.neighbors = this.neighbors.filter(each => each !== draft);
    for (const read of draft.reads) this.uses.get(read)?.delete(draft);
  }
}

const UNUSED: ReadonlySet<Draft> = new Set();

/** Returns large tensors that are read within a few nodes of this one: a step that also reads them saves a pass over memory. */
function largeReadsNear(node: Node, depth = 4, found = new Set<Node>()): Set<Node> {
  for (const input of node.inputs) {
    const isSmallPart = node.op === 'slice' && byteSize(node) <= FUSION_THRESHOLDS.disjointPart * byteSize(input);
    if (found.has(input) || isSmallPart) continue;
    if (byteSize(input) >= FUSION_THRESHOLDS.sharedReadBytes) found.add(input);
    if (depth > 0 && isFusible(input)) largeReadsNear(input, depth - 1, found);
  }
  return found;
}
