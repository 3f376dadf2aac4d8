/** Selects coupled channels and expands them: from scores to rows, and from rows to the coupled columns and norm entries. */
import { isConv, isExperts, type ModuleSpec } from '../model/module-specs.ts';
import { valueFor } from '../narrow.ts';
import { type Budget, rowBudget, type Scores, type Selection, SelectionError, topRows } from '../selection.ts';
import type { CoupledGroup, GroupMember } from './coupled-groups.ts';

/** Returns the trained part of the groups: rows and columns of the targets, and the norms between them. */
export function trainedGroups(groups: readonly CoupledGroup[], targets: readonly ModuleSpec[], trainsNorms: boolean): CoupledGroup[] {
  const names = new Set(targets.map(({ name }) => name));
  return groups
    .map(({ members, ...group }) => ({
      ...group,
      members: members.filter(({ module, part }) => (part === 'entries' ? trainsNorms : names.has(module.name))),
    }))
    .filter(({ members }) => members.some(({ part }) => part === 'rows'));
}

/**
 * Returns the channels between linear layers of one block: rows of the targets that make them, and columns of the targets that read them.
 * Excludes the residual stream, which every block reads and writes, and norm entries.
 */
export function insideBlocks(groups: readonly CoupledGroup[], targets: readonly ModuleSpec[]): CoupledGroup[] {
  const names = new Set(targets.map(({ name }) => name));
  return groups.flatMap(({ members, ...group }) => {
    const [first] = members;
    const layer = first?.module.layer ?? -1;
    if (layer < 0 || members.some(({ module }) => module.layer !== layer)) return [];
    const own = members.filter(({ module, part }) => part !== 'entries' && module.kind === 'linear' && names.has(module.name));
    const has = (wanted: GroupMember['part']): boolean => own.some(({ part }) => part === wanted);
    return has('rows') && has('columns') ? [{ ...group, members: own }] : [];
  });
}

/**
 * Returns one score per channel: the mean of its members' scores; the scores of several rows of one member are summed first. This is the
 * group reduction 'mean' of Torch-Pruning, whose Taylor measure omits batch norm by mistake: its branch for batch norm tests for group
 * norm.
 * @param scoresOf returns the scores of a member's rows, columns or entries; a member without scores is ignored
 */
export function groupScores(
  { channels, members }: CoupledGroup,
  scoresOf: (member: GroupMember) => Float32Array | undefined,
): Float32Array {
  const sums = new Float64Array(channels);
  let scored = 0;
  for (const member of members) {
    const scores = scoresOf(member);
    if (!scores) continue;
    scored++;
    for (const [i, channel] of member.channelOf.entries())
      if (channel >= 0) sums[channel] = (sums[channel] as number) + (scores[i] as number);
  }
  return Float32Array.from(sums, sum => sum / Math.max(1, scored));
}

/**
 * Returns the rows of the best channels of each group; for targets in no group (embeddings), the best rows.
 * @param groups of `trainedGroups` or `insideBlocks`
 * @param heads true to choose the channels of a head together, by their mean score; channels of no head are chosen individually
 * @throws SelectionError if a score is missing
 */
export function selectCoupled(
  groups: readonly CoupledGroup[],
  modules: readonly ModuleSpec[],
  scores: Scores,
  { budget, heads = false }: { readonly budget: Budget; readonly heads?: boolean | undefined },
): Selection {
  const selection = new Map<string, Int32Array>();
  const scoresOf = ({ module }: Pick<GroupMember, 'module'>): Float32Array => {
    const found = scores.get(module.name);
    if (found && found.length === module.weight.shape[0]) return found;
    throw new SelectionError(`there are no importance scores for ${module.name}; compute the importance of this model again`);
  };
  for (const group of groups) {
    const rows = group.members.filter(({ part }) => part === 'rows');
    const own = groupScores({ ...group, members: rows }, scoresOf);
    const count = channelBudget(group, rows, budget);
    const headOf = heads ? headsOfChannels(group.channels, rows) : undefined;
    const chosen = headOf ? topHeads(headOf, own, count) : topChannels(group, own, count);
    for (const { module, channelOf } of rows) addPlaces(selection, module.name, placesIn(channelOf, chosen));
  }
  for (const module of modules) {
    if (selection.has(module.name) || module.kind === 'norm') continue;
    selection.set(module.name, topRows(scoresOf({ module }), rowBudget(module, budget)));
  }
  return selection;
}

/** Returns the best channels of each run, `count` in total. */
function topChannels({ channels, runs = 1 }: CoupledGroup, scores: Float32Array, count: number): Set<number> {
  const size = channels / runs;
  const own = (run: number): Int32Array => topRows(scores.subarray(run * size, (run + 1) * size), Math.max(1, Math.round(count / runs)));
  return new Set(Array.from({ length: runs }, (_, run) => [...own(run)].map(channel => run * size + channel)).flat());
}

/**
 * Returns the head of each channel; undefined if the rows that make them belong to no head, or to all heads (shared keys in latent
 * attention).
 */
function headsOfChannels(channels: number, rows: readonly GroupMember[]): Int32Array | undefined {
  const headOf = new Int32Array(channels).fill(-1);
  for (const { module, channelOf } of rows) {
    const { head } = module;
    if (!head || !('rows' in head)) return undefined;
    for (const [row, channel] of channelOf.entries()) if (channel >= 0) headOf[channel] = Math.floor(row / head.rows);
  }
  return headOf.includes(-1) ? undefined : headOf;
}

/** Returns the channels of the best heads by mean score: the number of heads closest to `count` channels, at least one. */
function topHeads(headOf: Int32Array, scores: Float32Array, count: number): Set<number> {
  const heads = [...new Set(headOf)].sort((a, b) => a - b);
  const [sums, sizes] = [new Map<number, number>(), new Map<number, number>()];
  for (const [channel, head] of headOf.entries()) {
    sums.set(head, (sums.get(head) ?? 0) + (scores[channel] as number));
    sizes.set(head, (sizes.get(head) ?? 0) + 1);
  }
  const means = Float32Array.from(heads, head => valueFor(sums, head) / valueFor(sizes, head));
  const best = topRows(means, Math.min(heads.length, Math.max(1, Math.round((count * heads.length) / headOf.length))));
  const chosen = new Set([...best].map(i => heads[i]));
  return new Set([...headOf.keys()].filter(channel => chosen.has(headOf[channel])));
}

/**
 * Returns the number of channels that uses the budget's rows in the member, or the section of one, with the most rows per channel; at least
 * one.
 */
function channelBudget({ channels }: CoupledGroup, rows: readonly GroupMember[], budget: Budget): number {
  const perChannel = Math.max(...rows.flatMap(rowCounts)) / channels;
  const wanted = 'r' in budget ? budget.r / perChannel : budget.ratio * channels;
  return Math.min(channels, Math.max(1, Math.round(wanted)));
}

/** Returns how many rows of each section of a member are in the group. */
function rowCounts({ module, channelOf }: GroupMember): number[] {
  const ofGroup = (begin: number, end: number) => channelOf.subarray(begin, end).filter(channel => channel >= 0).length;
  let begin = 0;
  return (module.sections ?? [{ rows: channelOf.length }]).map(({ rows }) => {
    begin += rows;
    return ofGroup(begin - rows, begin);
  });
}

/** Adds ascending rows of a module; a module with rows in several groups gets those of all. */
function addPlaces<Key>(found: Map<Key, Int32Array>, key: Key, places: Int32Array): void {
  const before = found.get(key);
  found.set(key, before ? Int32Array.from([...before, ...places]).sort() : places);
}

const placesIn = (channelOf: Int32Array, chosen: ReadonlySet<number>): Int32Array =>
  Int32Array.from([...channelOf.keys()].filter(i => chosen.has(channelOf[i] as number)));

/** The parts coupled to the chosen rows: module → its columns, norm → its entries; both ascending. */
export interface CoupledParts {
  readonly columns: Selection;
  readonly entries: ReadonlyMap<ModuleSpec, Int32Array>;
}

/** Returns the coupled parts. @param groups of `trainedGroups` */
export function coupledParts(groups: readonly CoupledGroup[], selection: Selection): CoupledParts {
  const columns = new Map<string, Int32Array>();
  const entries = new Map<ModuleSpec, Int32Array>();
  for (const { members } of groups) {
    const chosen = new Set<number>();
    for (const { module, part, channelOf } of members)
      if (part === 'rows') for (const row of selection.get(module.name) ?? []) chosen.add(channelOf[row] as number);
    chosen.delete(-1);
    for (const { module, part, channelOf } of members) {
      if (part === 'rows') continue;
      const places = placesIn(channelOf, chosen);
      if (places.length === 0) continue;
      if (part === 'columns') addPlaces(columns, module.name, places);
      else addPlaces(entries, module, places);
    }
  }
  return { columns, entries };
}

/**
 * Returns the elements of a weight [rows, inputs of a group, kernel …] in these rows or columns, ascending, in flat order. A column of a
 * grouped convolution is an input channel, which the rows of its group read; a column of a stack of experts is an input of one expert.
 */
export function elementsOf(module: ModuleSpec, rows: Int32Array, columns: Int32Array): Int32Array {
  const [out = 1, perGroup = 1, ...kernel] = module.weight.shape;
  const size = kernel.reduce((n, d) => n * d, 1);
  const ofGroup = columnsByGroup(module, columns);
  const found = new Int32Array(elementCountOf(module, rows, columns));
  const isChosen = new Set(rows);
  let count = 0;
  for (let row = 0; row < out; row++) {
    const begin = row * perGroup * size;
    if (isChosen.has(row)) for (let i = 0; i < perGroup * size; i++) found[count++] = begin + i;
    else
      for (const column of ofGroup[Math.floor((row * ofGroup.length) / out)] ?? [])
        for (let i = 0; i < size; i++) found[count++] = begin + column * size + i;
  }
  return found;
}

/** Returns the number of these elements. */
export function elementCountOf(module: ModuleSpec, rows: Int32Array, columns: Int32Array): number {
  const [out = 1, perGroup = 1, ...kernel] = module.weight.shape;
  const ofGroup = columnsByGroup(module, columns);
  const rowsIn = new Array<number>(ofGroup.length).fill(out / ofGroup.length);
  for (const row of rows) {
    const group = Math.floor((row * ofGroup.length) / out);
    rowsIn[group] = (rowsIn[group] as number) - 1;
  }
  const inColumns = ofGroup.reduce((sum, own, group) => sum + own.length * (rowsIn[group] as number), 0);
  return (rows.length * perGroup + inColumns) * kernel.reduce((n, d) => n * d, 1);
}

/** Returns the columns of each group's filters, or of each expert's matrix, ascending; one group if the module has neither. */
function columnsByGroup(module: ModuleSpec, columns: Int32Array): number[][] {
  const groups = isConv(module) ? module.window.groups : isExperts(module) ? module.experts : 1;
  const perGroup = module.weight.shape[1] as number;
  const found: number[][] = Array.from({ length: groups }, () => []);
  for (const column of columns) found[Math.floor(column / perGroup)]?.push(column % perGroup);
  return found;
}

/** Returns the rows whose elements are all listed: the originally chosen rows. @param elements ascending */
export function wholeRows({ weight }: Pick<ModuleSpec, 'weight'>, elements: Int32Array): Int32Array {
  const [rows = 1, ...rest] = weight.shape;
  const width = rest.reduce((n, d) => n * d, 1);
  const counts = new Int32Array(rows);
  for (const place of elements) {
    const row = Math.floor(place / width);
    counts[row] = (counts[row] as number) + 1;
  }
  return Int32Array.from([...counts.keys()].filter(row => counts[row] === width));
}
