/** Finds the parts of weights that belong to one neuron, from the graph of any model (the idea of DepGraph, Fang et al. 2023). */

import { Graph, isOp, type Node } from '../graph/graph.ts';
import type { AnyModel, ClassifierModel } from '../model/model-spec.ts';
import { isConv, isExperts, type ModuleSpec } from '../model/module-specs.ts';
import { type ModuleTap, Tracer } from '../model/tracer.ts';
import { elementAt, lastOf, valueFor } from '../narrow.ts';
import { applyRule, type Known } from './channel-rules.ts';
import { ChannelSets } from './channels.ts';

/**
 * rows: of a linear layer or a convolution, with their bias entries; they make a channel. columns: of a linear layer or a convolution,
 * where they read it; of an embedding or a tensor that is used directly, where they make it. entries: of a norm in between.
 */
export type MemberPart = 'rows' | 'columns' | 'entries';

export interface GroupMember {
  readonly module: ModuleSpec;
  readonly part: MemberPart;
  /** The channel of the group that each row, column or entry belongs to; −1 if it belongs to none. */
  readonly channelOf: Int32Array;
}

/** Channels whose members must change together. */
export interface CoupledGroup {
  readonly channels: number;
  /** Number of experts if the channels are inside experts: each expert's channels are contiguous, and are chosen separately. */
  readonly runs?: number;
  /** Members in model order, makers first. */
  readonly members: readonly GroupMember[];
}

/** Thrown for channels that cannot be followed; names the operation and the layer before it. */
export class DependencyError extends Error {
  override name = 'DependencyError';
}

/** Number of traced tokens: enough to distinguish them from a batch of one; channels do not depend on it. */
const TOKENS = 4;

/**
 * Returns the groups of a model, in the order of the forward pass. Nothing is computed: shapes are traced, and sets of channel ids follow
 * them.
 * @throws DependencyError that names the operation and the layer before it
 */
export function coupledGroups(model: AnyModel): CoupledGroup[] {
  const graph = new Graph();
  const tracer = new Tracer({ graph });
  const sets = new ChannelSets();
  const output = traceModel(model, tracer);
  const sides = new Sides(sets);
  const known = propagate(graph, tracer, model.modules, sets, sides);
  if (model.kind === 'causal') {
    const { head } = model;
    sides.add(head, 'columns', channelsOf(known[output.id], output, sets));
    if (head.kind === 'linear') sides.add(head, 'rows', sets.fresh(head.weight.shape[0] as number));
  }
  return sides.groups(model.modules);
}

function traceModel(model: AnyModel, tracer: Tracer): Node {
  const { graph } = tracer;
  if (model.kind === 'causal') return model.hidden(tracer, { ids: graph.feed('ids', [1, TOKENS], 'int32'), mask: { kind: 'causal' } });
  return model.logits(tracer, classifierInput(graph, model));
}

function classifierInput(graph: Graph, { input }: ClassifierModel): Parameters<ClassifierModel['logits']>[1] {
  if (input.kind === 'image') return { kind: 'image', pixels: graph.feed('pixels', [1, input.height, input.width, input.channels]) };
  return { kind: 'tokens', ids: graph.feed('ids', [1, TOKENS], 'int32'), seen: graph.feed('seen', [1, TOKENS]) };
}

/** Follows channels node by node; they start where modules make them. */
function propagate(graph: Graph, tracer: Tracer, modules: readonly ModuleSpec[], sets: ChannelSets, sides: Sides): readonly Known[] {
  const taps = new Map<Node, { module: ModuleSpec; tap: ModuleTap }>();
  const asTheyAre = new Map<string, ModuleSpec>();
  for (const module of modules) {
    const uses = tracer.tapsOf(module);
    for (const tap of uses) taps.set(tap.y, { module, tap });
    // The value that a table or a sink adds to the attention scores is not a channel.
    if (uses.length === 0 && module.kind === 'parameter' && module.part === 'embedding') asTheyAre.set(module.weight.name, module);
  }
  const known: Known[] = [];
  let behind = 'the input';
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(input => known[input.id]);
    const fail = (why: string): never => {
      throw new DependencyError(`the channels behind ${behind} cannot be followed through ${node.op} [${node.shape.join(', ')}]: ${why}`);
    };
    const own = isOp(node, 'read') ? asTheyAre.get(node.attrs.variable) : undefined;
    const found = own ? makeColumns(own, node, sets, sides) : applyRule({ sets, node, inputs, fail });
    const tapped = taps.get(node);
    known[node.id] = tapped ? passModule(tapped, found, known, sets, sides) : found;
    if (tapped) behind = tapped.module.name;
  }
  return known;
}

const alongLast = (rank: number, ids: Int32Array): Known => ({ shape: [...new Array<number>(rank - 1).fill(1), ids.length], ids });

function makeColumns(module: ModuleSpec, node: Node, sets: ChannelSets, sides: Sides): Known {
  const ids = sets.fresh(lastOf(node.shape));
  sides.add(module, 'columns', ids);
  return alongLast(node.shape.length, ids);
}

/**
 * Returns the channels of a module's output, and records those it reads and makes.
 * @param through the channels that its own operations preserve
 */
function passModule(
  { module, tap }: { module: ModuleSpec; tap: ModuleTap },
  through: Known,
  known: readonly Known[],
  sets: ChannelSets,
  sides: Sides,
): Known {
  const { x, y } = tap;
  const size = lastOf(y.shape);
  if (module.kind === 'norm') {
    sides.add(module, 'entries', channelsOf(through, y, sets));
    return through;
  }
  const made = sets.fresh(size);
  if (module.kind === 'embedding') sides.add(module, 'columns', made);
  else {
    sides.add(module, 'rows', made);
    const read = channelsOf(known[x.id], x, sets);
    // If every channel has its own filters, its output is the same channel.
    if (!isDepthwise(module)) sides.add(module, 'columns', read);
    else for (const [row, id] of made.entries()) sets.join(id, read[Math.floor((row * read.length) / size)] as number);
  }
  return alongLast(y.shape.length, made);
}

function isDepthwise(module: ModuleSpec): boolean {
  if (!isConv(module)) return false;
  const { groups } = module.window;
  return groups > 1 && module.weight.shape[1] === 1;
}

/** Returns the channel of each position along a tensor's last axis; channels that vary along other axes are coupled. */
function channelsOf(channels: Known, { shape }: Node, sets: ChannelSets): Int32Array {
  const size = lastOf(shape);
  const last = new Int32Array(size).fill(-1);
  if (!channels) return last;
  const width = lastOf(channels.shape);
  channels.ids.forEach((id, place) => {
    for (let i = width === 1 ? 0 : place % width; i < size; i += width === 1 ? 1 : size) last[i] = sets.join(last[i] as number, id);
  });
  return last;
}

interface Side {
  readonly module: ModuleSpec;
  readonly part: MemberPart;
  readonly ids: Int32Array;
}

/** Collects rows, columns and entries with their channels; those of the same part of one module are coupled. */
class Sides {
  private readonly sets: ChannelSets;
  private readonly found = new Map<string, Side>();

  constructor(sets: ChannelSets) {
    this.sets = sets;
  }

  add(module: ModuleSpec, part: MemberPart, ids: Int32Array): void {
    const key = `${part} ${module.name}`;
    const before = this.found.get(key);
    if (before) before.ids.forEach((id, i) => void this.sets.join(id, ids[i] as number));
    else this.found.set(key, { module, part, ids });
  }

  groups(modules: readonly ModuleSpec[]): CoupledGroup[] {
    const order = new Map(modules.map(({ name }, i) => [name, i]));
    const parts: Record<MemberPart, number> = { rows: 0, columns: 1, entries: 2 };
    const sides = [...this.found.values()]
      .map(side => ({ ...side, ids: side.ids.map(id => (id < 0 ? -1 : this.sets.find(id))) }))
      .filter(({ ids }) => ids.some(id => id >= 0))
      .sort((a, b) => (order.get(a.module.name) ?? 0) - (order.get(b.module.name) ?? 0) || parts[a.part] - parts[b.part]);
    return components(sides).flatMap(alike).map(ofExperts).map(groupOf);
  }
}

/** Groups sides that share a channel, directly or through others. */
function components(sides: readonly Side[]): Side[][] {
  const links = new ChannelSets();
  const numbers = links.fresh(sides.length);
  const firstWith = new Map<number, number>();
  for (const [i, { ids }] of sides.entries()) {
    const own = numbers[i] as number;
    let last = own;
    for (const id of ids) {
      if (id < 0) continue;
      const first = firstWith.get(id);
      if (first === undefined) firstWith.set(id, own);
      else if (first !== last) {
        links.join(first, own);
        last = first;
      }
    }
  }
  const found = new Map<number, Side[]>();
  for (const [i, side] of sides.entries()) {
    const root = links.find(numbers[i] as number);
    found.set(root, [...(found.get(root) ?? []), side]);
  }
  return [...found.values()];
}

/**
 * Divides channels by the sides that they are in: one matrix with the rows of queries, keys and values contains channels of two kinds,
 * those of values and those of queries with keys.
 */
function alike(sides: readonly Side[]): Side[][] {
  const kinds = new Map<number, number>();
  const kindOf = new Map<string, number>();
  const within = new Map<number, number[]>();
  for (const [side, { ids }] of sides.entries())
    for (const id of ids) {
      if (id < 0) continue;
      const found = within.get(id);
      if (!found) within.set(id, [side]);
      else if (found.at(-1) !== side) found.push(side);
    }
  for (const [id, list] of within) {
    const key = list.join();
    if (!kindOf.has(key)) kindOf.set(key, kindOf.size);
    kinds.set(id, valueFor(kindOf, key));
  }
  return [...kindOf.values()].map(kind =>
    sides
      .map(side => ({ ...side, ids: side.ids.map(id => (kinds.get(id) === kind ? id : -1)) }))
      .filter(({ ids }) => ids.some(id => id >= 0)),
  );
}

/**
 * Applies a result about a stack of experts to each expert: channels inside an expert belong to it alone, since a token's values pass
 * through one matrix of each stack; channels shared with other layers are the same for all experts.
 */
function ofExperts(sides: readonly Side[]): Side[] {
  const isInside = sides.every(({ module }) => isExperts(module));
  return sides.map(side => {
    const { module, ids } = side;
    if (!isExperts(module)) return side;
    const { experts } = module;
    const idOf = (id: number, expert: number): number => (id < 0 || !isInside ? id : id * experts + expert);
    return {
      ...side,
      ids: Int32Array.from({ length: experts * ids.length }, (_, i) => idOf(ids[i % ids.length] as number, Math.floor(i / ids.length))),
    };
  });
}

function groupOf(sides: readonly Side[]): CoupledGroup {
  const numbers = new Map<number, number>();
  const numberOf = (id: number): number => {
    if (id < 0) return -1;
    const known = numbers.get(id) ?? numbers.size;
    numbers.set(id, known);
    return known;
  };
  const members = sides.map(({ module, part, ids }) => ({ module, part, channelOf: ids.map(numberOf) }));
  const { module } = elementAt(sides, 0);
  const runs = isExperts(module) && sides.every(side => isExperts(side.module)) ? module.experts : 1;
  return { channels: numbers.size, members, ...(runs > 1 && { runs }) };
}
