/** Which nodes of a schedule run together: what lies between two products becomes a few steps, each one pass over memory. */
import { aliasedRead, writtenVariables } from '../alias.ts';
import type { Node } from '../graph.ts';
import { ruleOf } from '../op-table.ts';
import type { Signature } from '../program.ts';
import { byteSize, elementCount } from '../types.ts';
import { BuildMemo } from './build-memo.ts';
import { isFusible, isView } from './fusible.ts';
import { MustBeRead } from './must-be-read.ts';
import type { RowProgram } from './row-program.ts';

/** What an engine runs at once: one node, or several as a fused program. */
export interface Step {
  /** What it gives. The last one's place in the schedule is the step's own. */
  readonly nodes: readonly Node[];
  readonly reads: readonly Node[];
  readonly program?: RowProgram;
}

/** Every node for itself. */
export const singleSteps = ({ schedule }: Signature): Step[] => schedule.map(node => ({ nodes: [node], reads: node.inputs }));

/** What is read again within so many nodes may wait for that in two forms. */
const SOON = 32;

/** Part of a place; as many names of names as fit between two places are never made. */
const JUST_BEFORE = 2 ** -10;

/** A program is tried with one node less in it at each attempt. */
const MOST_ATTEMPTS = 24;

/** To share what is smaller saves no pass over memory. */
const SMALL_BYTES = 256;

/** Two that each read no more of something than such a part hardly read the same. */
const SMALL_PART = 8;

/** A bias is smaller than what it is added to by at least so much. */
const SMALL_SHARE = 64;

/** What is made of more nodes is read, and looked through no further. */
const MOST_BEHIND = 256;

/** Neighbors that a node is tried to be joined with, if it feeds none of them. */
const NEIGHBOURS = 4;

/** Steps that give the same as the schedule. No step takes more memory than the nodes that it stands for. */
export const fusedSteps = (signature: Signature): Step[] => planner()(signature);

/** Plans signatures one after the other, which are much alike: what `memo` has seen is not worked out again. */
export const planner =
  (memo: Pick<BuildMemo, 'build'> = new BuildMemo()) =>
  (signature: Signature): Step[] =>
    new Planner(signature, memo).plan();

/** A step under construction. */
interface Draft extends Step {
  /** Where in the schedule it runs. */
  readonly place: number;
}

/** What is asked about while one program is built. */
interface Reach {
  readonly roots: ReadonlySet<Node>;
  readonly place: number;
  /** Nodes that have to be read. */
  readonly forced: Set<Node>;
  /** Nodes that are read in any case. */
  readonly read: ReadonlySet<Node>;
  /** Nodes that are read since their own inputs would have to be kept for them. */
  readonly doubts: Set<Node>;
}

class Planner {
  private readonly schedule: readonly Node[];
  private readonly memo: Pick<BuildMemo, 'build'>;
  private readonly placeOf = new Map<Node, number>();
  private readonly readers = new Map<Node, Node[]>();
  /** Steps that read a node's value, among those planned so far, which are all that run later. */
  private readonly uses = new Map<Node, Set<Draft>>();
  private readonly drafts = new Set<Draft>();
  private readonly given = new Set<Node>();
  /** The fused steps, the last planned first. */
  private fused: Draft[] = [];
  private readonly isOutput: ReadonlySet<Node>;
  /** Products and the like before each place: what comes between two places with none between is free to move. */
  private readonly barriers: Int32Array;
  private readonly writes = new Map<string, number[]>();

  constructor(signature: Signature, memo: Pick<BuildMemo, 'build'>) {
    this.memo = memo;
    const { schedule, outputs } = signature;
    this.isOutput = new Set(Object.values(outputs));
    this.barriers = new Int32Array(schedule.length + 1);
    for (const node of schedule)
      for (const input of new Set(node.inputs)) this.readers.set(input, [...(this.readers.get(input) ?? []), node]);
    this.schedule = this.narrowedEarly(schedule);
    this.schedule.forEach((node, i) => {
      this.placeOf.set(node, i);
      for (const variable of writtenVariables(node)) this.writes.set(variable, [...(this.writes.get(variable) ?? []), i]);
      const isBarrier = !isFusible(node) && !isSource(node) && ruleOf(node.op).buffer !== 'view';
      this.barriers[i + 1] = (this.barriers[i] as number) + (isBarrier ? 1 : 0);
    });
  }

  plan(): Step[] {
    for (let i = this.schedule.length - 1; i >= 0; i--) this.place(this.schedule[i] as Node, i);
    const inOrder = (nodes: readonly Node[]) =>
      [...nodes].sort((a, b) => (this.placeOf.get(a) as number) - (this.placeOf.get(b) as number));
    return [...this.drafts]
      .sort((a, b) => a.place - b.place)
      .map(({ nodes, reads, program }) => ({ nodes: inOrder(nodes), reads, ...(program && { program }) }));
  }

  /** What is read for the last time to make it narrower is made so at once: less waits, and what makes it can give it so. */
  private narrowedEarly(schedule: readonly Node[]): readonly Node[] {
    const at = new Map(schedule.map((node, i) => [node, i]));
    const after = new Map<Node, Node[]>();
    const early = new Set<Node>();
    for (const node of schedule) {
      if (early.has(node)) continue;
      const [reader, other = node] = (this.readers.get(node) ?? []).slice(-2).reverse();
      const before = (at.get(other) as number) - (at.get(node) as number) <= SOON ? node : other;
      const chain = reader && !this.isKept(node) ? this.narrowing(reader) : [];
      if (chain.length > 0) after.set(before, [...(after.get(before) ?? []), ...chain]);
      for (const each of chain) early.add(each);
    }
    const withFollowers = (node: Node): Node[] => [node, ...(after.get(node) ?? []).flatMap(withFollowers)];
    return schedule.filter(node => !early.has(node)).flatMap(withFollowers);
  }

  /** From `first` on, moves that nobody else reads, and the cast to fewer bytes that they lead to; nothing where they do not. */
  private narrowing(first: Node | undefined): Node[] {
    const chain: Node[] = [];
    for (let next = first; next && next.inputs.length === 1 && !this.isOutput.has(next); ) {
      chain.push(next);
      if (isNarrowing(next)) return chain;
      const readers: readonly Node[] = this.readers.get(next) ?? [];
      next = isView(next) && readers.length === 1 ? readers[0] : undefined;
    }
    return [];
  }

  private onlyReader(node: Node): Node | undefined {
    const readers = this.readers.get(node) ?? [];
    return readers.length === 1 && !this.isKept(node) ? readers[0] : undefined;
  }

  private isKept(node: Node): boolean {
    return isSource(node) || aliasedRead(node) !== undefined || this.isOutput.has(node);
  }

  private place(node: Node, at: number): void {
    const isWanted = this.isOutput.has(node) || this.usesOf(node).size > 0;
    if (isSource(node) && node.op !== 'feed' && !isWanted) return;
    if (!isFusible(node)) this.single(node, at);
    else if (!isWanted) return;
    // Another name for a variable is given while the variable is what it was.
    else if (this.isPlainReshape(node)) this.single(node, aliasedRead(node) ? at : Math.max(at, this.firstUse(node) - JUST_BEFORE));
    else if (!this.join(node, at)) this.start(node, at);
  }

  private single(node: Node, place: number): void {
    this.add({ nodes: [node], reads: node.inputs, place });
  }

  /** A reshape of something that is there anyway is another name for it. */
  private isPlainReshape(node: Node): boolean {
    if (node.op !== 'reshape') return false;
    const [input] = node.inputs as [Node];
    return !isFusible(input) || this.usesOf(input).size > 0 || this.isOutput.has(input) || (this.readers.get(input)?.length ?? 0) > 1;
  }

  private start(node: Node, place: number): void {
    const draft = this.draft([node], place, new Set());
    if (draft) this.add(draft);
    else this.single(node, place);
  }

  /** Has a planned step give this node too. */
  private join(node: Node, at: number): boolean {
    const first = this.firstUse(node);
    const shares = this.leavesNear(node);
    for (const draft of this.fused.slice(0, NEIGHBOURS)) {
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
    if (this.isOverwritten(node, at, draft.place)) return undefined;
    const known = new Set(draft.reads.filter(read => read !== node));
    // A root that the others are computed from is walked by their shape; beside them, the larger leads.
    const [first] = draft.nodes as [Node];
    const orders =
      byteSize(node) > byteSize(first)
        ? [
            [node, ...draft.nodes],
            [...draft.nodes, node],
          ]
        : [[...draft.nodes, node]];
    for (const roots of orders) {
      const joined = this.draft(roots, draft.place, known);
      if (!joined) continue;
      // The planner has passed by what stands behind this node: nobody wanted it, so it is not there to be read.
      if (joined.reads.some(read => (this.placeOf.get(read) as number) >= at && !this.given.has(read))) continue;
      const extended = joined.reads.filter(read => !draft.reads.includes(read) && this.lastUse(read) < draft.place);
      const isFree = this.barriersBetween(at, draft.place) === 0;
      if (isFree || sum(extended.map(sizeOf)) <= byteSize(node)) return joined;
    }
    return undefined;
  }

  /** What is read within a few nodes of this one, as far as it is large. */
  private leavesNear(node: Node, depth = 4, found = new Set<Node>()): Set<Node> {
    for (const input of node.inputs) {
      if (found.has(input) || isSmallPart(node, input)) continue;
      if (byteSize(input) >= SMALL_BYTES) found.add(input);
      if (depth > 0 && isFusible(input)) this.leavesNear(input, depth - 1, found);
    }
    return found;
  }

  /** @param known nodes that are read whatever else is found */
  private draft(roots: readonly Node[], place: number, known: ReadonlySet<Node>): Draft | undefined {
    const reach: Reach = { roots: new Set(roots), place, forced: new Set(known), read: NOTHING, doubts: new Set() };
    const first = this.build(roots, reach);
    if (!first || reach.doubts.size === 0) return first;
    // What was read instead of computed again for want of its inputs may find them all read for something else.
    const again = this.build(roots, {
      ...reach,
      forced: new Set([...reach.forced].filter(node => !reach.doubts.has(node))),
      read: new Set(first.reads),
    });
    return again && again.reads.length < first.reads.length ? again : first;
  }

  private build(roots: readonly Node[], reach: Reach): Draft | undefined {
    const { forced, place } = reach;
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const found = this.memo.build({ roots, isRead: node => this.isRead(node, reach) });
      if (found instanceof MustBeRead) {
        if (reach.roots.has(found.node) || forced.has(found.node)) return undefined;
        // Where it is only read as a narrower one, that is what has to be there.
        const narrow = this.narrowing(this.onlyReader(found.node)).at(-1);
        forced.add(narrow && !reach.roots.has(narrow) && !forced.has(narrow) ? narrow : found.node);
        continue;
      }
      const { program, reads } = found;
      // What only gives another name to something costs nothing as it is.
      const [root] = roots as [Node];
      if (root.op === 'reshape' && program.instructions.length === 0 && reads[0] === root.inputs[0]) return undefined;
      return { nodes: roots, reads, program, place };
    }
    return undefined;
  }

  private isRead(node: Node, { roots, place, forced, read, doubts }: Reach): boolean {
    if (!isFusible(node) || this.isOutput.has(node) || forced.has(node)) return true;
    for (const use of this.usesOf(node)) if (!use.nodes.some(given => roots.has(given))) return true;
    const at = this.placeOf.get(node) as number;
    if (this.isOverwritten(node, at, place)) return true;
    if (isLight(node) || this.barriersBetween(at, place) === 0) return false;
    const isDear = this.isDear(node, place, read);
    if (isDear) doubts.add(node);
    return isDear;
  }

  /**
   * Would it take more to compute this node again, across a product, than to read it? What it is made of, if no more were read than has to be,
   * must not take more while it waits than the node itself would (a single number takes nothing); and what others need as well is there in any
   * case, so that it is not worth reading two of its size instead. Near ones first, since a stream of sums reaches through all blocks.
   */
  private isDear(node: Node, place: number, read: ReadonlySet<Node>): boolean {
    if (elementCount(node.shape) === 1) return true;
    const isShared = (this.readers.get(node)?.length ?? 0) > 1;
    const mostWaiting = isShared ? 0 : byteSize(node);
    const mostPasses = isShared ? 1 : Number.POSITIVE_INFINITY;
    let [waiting, passes] = [0, 0];
    const found = new Set(node.inputs);
    for (const each of found) {
      if (read.has(each)) continue;
      if (isFusible(each) && this.usesOf(each).size === 0) {
        if (found.size > MOST_BEHIND) return true;
        for (const input of each.inputs) found.add(input);
        continue;
      }
      if (this.lastUse(each) < place) waiting += sizeOf(each);
      if (2 * byteSize(each) >= byteSize(node)) passes++;
      if (waiting > mostWaiting || passes > mostPasses) return true;
    }
    return false;
  }

  /** Would a variable that this node reads be another by then? */
  private isOverwritten(node: Node, at: number, place: number): boolean {
    return node.inputs.some(input => {
      const read = aliasedRead(input);
      return read !== undefined && (this.writes.get(read.attrs.variable) ?? []).some(write => write > at && write < place);
    });
  }

  private barriersBetween(from: number, to: number): number {
    return (this.barriers[Math.ceil(to)] as number) - (this.barriers[Math.ceil(from) + 1] as number);
  }

  private usesOf(node: Node): ReadonlySet<Draft> {
    return this.uses.get(node) ?? NONE;
  }

  private firstUse(node: Node): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { place } of this.usesOf(node)) first = Math.min(first, place);
    return first;
  }

  /** The last place where the value, or what is another name for it, is read. */
  private lastUse(node: Node): number {
    if (isSource(node) || this.isOutput.has(node)) return Number.POSITIVE_INFINITY;
    let last = -1;
    for (const { place, nodes, program } of this.usesOf(node)) {
      const [given] = nodes as [Node];
      const isAlias = program === undefined && ruleOf(given.op).buffer === 'view' && given.inputs[0] === node;
      last = Math.max(last, place, isAlias ? this.lastUse(given) : -1);
    }
    return last;
  }

  private add(draft: Draft): void {
    this.drafts.add(draft);
    for (const node of draft.nodes) this.given.add(node);
    if (draft.program) this.fused = [draft, ...this.fused.slice(0, NEIGHBOURS - 1)];
    for (const read of draft.reads) {
      const known = this.uses.get(read);
      if (known) known.add(draft);
      else this.uses.set(read, new Set([draft]));
    }
  }

  private remove(draft: Draft): void {
    this.drafts.delete(draft);
    for (const node of draft.nodes) this.given.delete(node);
    this.fused = this.fused.filter(each => each !== draft);
    for (const read of draft.reads) this.uses.get(read)?.delete(draft);
  }
}

const NONE: ReadonlySet<Draft> = new Set();
const NOTHING: ReadonlySet<Node> = new Set();

const isSource = ({ op }: Node): boolean => op === 'feed' || op === 'constant' || op === 'read';

const isNarrowing = (node: Node): boolean => node.op === 'cast' && byteSize(node) < byteSize(node.inputs[0] as Node);

/**
 * Is this node little more than another name for something that takes no more bytes: the same numbers widened or moved, with a bias added? That is
 * read in its place, by all, so that it need not be written.
 */
function isLight(node: Node): boolean {
  let [base, isOther] = [node, false];
  for (let next = lightInput(base); next; next = lightInput(base)) {
    isOther ||= !isView(base);
    base = next;
  }
  return isOther && byteSize(base) <= byteSize(node);
}

/** What a node is made of, where it does next to nothing. */
function lightInput(node: Node): Node | undefined {
  const [first, second] = node.inputs;
  if (isView(node)) return second ? undefined : first;
  if (isWidening(node)) return first;
  const isArithmetic = node.op === 'add' || node.op === 'sub' || node.op === 'mul';
  return isArithmetic && first && second && SMALL_SHARE * byteSize(second) <= byteSize(node) ? first : undefined;
}

const isWidening = (node: Node): boolean => node.op === 'cast' && byteSize(node) > byteSize(node.inputs[0] as Node);

const isSmallPart = (node: Node, input: Node): boolean => node.op === 'slice' && SMALL_PART * byteSize(node) <= byteSize(input);

/** A source is there whatever happens. */
const sizeOf = (node: Node): number => (isSource(node) || aliasedRead(node) ? 0 : byteSize(node));

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
