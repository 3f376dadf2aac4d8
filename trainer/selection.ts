/** Which rows of which layers are trained: from scores and a budget to plain data. Pure, and the same for the same scores. */

import type { ModuleSpec, RowSection } from './model/module-specs.ts';
import { elementAt, valueFor } from './narrow.ts';

/** Module name → its chosen rows, ascending. */
export type Selection = ReadonlyMap<string, Int32Array>;

/** The facts about a module that a budget needs. */
export type RowsOf = Pick<ModuleSpec, 'name' | 'weight' | 'bias' | 'sections'>;

/** Module name → one score a row. */
export type Scores = ReadonlyMap<string, Float32Array>;

/** Rows a layer, or the share of each layer's rows, which is the share of its parameters too. */
export type Budget = { readonly r: number } | { readonly ratio: number };

/** per_layer: rows compete within their layer. global: with those of all layers, for as many parameters. */
export type SelectionMode = 'per_layer' | 'global';

/** A budget that the model cannot meet: which layers, how many rows they have. */
export class SelectionError extends Error {
  override name = 'SelectionError';
}

/** Rows of a module that a budget pays for; at least one. A module of several sections has a budget for each. */
export function rowBudget({ weight, sections = [] }: RowsOf, budget: Budget): number {
  const paid = (rows: number) => ('r' in budget ? budget.r : Math.max(1, Math.round(budget.ratio * rows)));
  return sections.length > 0 ? sections.reduce((sum, { rows }) => sum + paid(rows), 0) : paid(weight.shape[0] as number);
}

/** The name under which the rows of a section are shown. */
export const sectionName = (module: string, section: Pick<RowSection, 'name'>): string => `${module}.${section.name}`;

/** A module, or one of its sections, whose rows compete with each other. */
interface Competing extends RowsOf {
  /** The module's own name. */
  readonly module: string;
  readonly begin: number;
}

const competing = (modules: readonly RowsOf[]): Competing[] =>
  modules.flatMap(({ sections, ...module }): Competing[] => {
    if (!sections) return [{ ...module, module: module.name, begin: 0 }];
    let begin = 0;
    return sections.map(section => {
      const weight = { ...module.weight, shape: [section.rows, ...module.weight.shape.slice(1)] };
      const own = { ...module, name: sectionName(module.name, section), weight, module: module.name, begin };
      begin += section.rows;
      return own;
    });
  });

/** The rows of each module from those of its sections. */
function ofModules(parts: readonly Competing[], rowsOf: (i: number) => Int32Array): Selection {
  const found = new Map<string, Int32Array[]>();
  for (const [i, { module, begin }] of parts.entries())
    found.set(module, [...(found.get(module) ?? []), rowsOf(i).map(row => row + begin)]);
  return new Map([...found].map(([name, lists]) => [name, lists.length === 1 ? elementAt(lists, 0) : concatenated(lists)]));
}

function concatenated(lists: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(lists.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

/** Trainable numbers of one row, its bias entry included. */
export const rowParameters = ({ weight, bias }: RowsOf): number => weight.shape.slice(1).reduce((n, d) => n * d, 1) + (bias ? 1 : 0);

/**
 * The highest-scoring rows of each module; of equal scores the lower row comes first.
 * @throws SelectionError where a layer has fewer rows than the budget, naming all such layers, or where a score is missing or not finite
 */
export function selectRows(modules: readonly RowsOf[], scores: Scores, budget: Budget, mode: SelectionMode = 'per_layer'): Selection {
  checkBudget(modules, budget);
  const parts = competing(modules);
  const own = ownScores(modules, parts, scores);
  if (mode === 'global') return selectGlobally(parts, own, budget);
  return ofModules(parts, i => topRows(elementAt(own, i), rowBudget(elementAt(parts, i), budget)));
}

/**
 * Ranks the rows of all modules by score over the mean score of their module, since the scores of layers differ by orders of magnitude,
 * and takes them in this order until the next would exceed what `per_layer` trains. Every module keeps its best row whatever its rank: a
 * layer without rows would have nothing to learn with. Of equal ranks the earlier module, then the lower row comes first.
 */
function selectGlobally(parts: readonly Competing[], scores: readonly Float32Array[], budget: Budget): Selection {
  const ranked = parts.map((part, i): RankedRows => {
    const values = elementAt(scores, i);
    return {
      scores: values,
      order: rowOrder(values),
      mean: values.reduce((a, b) => a + b, 0) / values.length,
      cost: rowParameters(part),
    };
  });
  const taken = globalCounts(
    ranked,
    parts.map(part => rowBudget(part, budget)),
  );
  return ofModules(parts, i => elementAt(ranked, i).order.slice(0, taken[i]).sort());
}

/** A module whose rows compete with those of others. */
export interface RankedRows {
  readonly scores: Float32Array;
  /** Its rows, the highest score first. */
  readonly order: Int32Array;
  readonly mean: number;
  /** Trainable numbers of a row. */
  readonly cost: number;
}

/**
 * How many rows of each module the global mode takes: those above the lowest rank that can be afforded, then of the rows of that very rank
 * as many as fit. Found by halving, which takes milliseconds where sorting the rows of a large model takes many seconds.
 * @param perLayer rows that each module would have by itself: what they cost is the budget
 */
export function globalCounts(modules: readonly RankedRows[], perLayer: ArrayLike<number>): Int32Array {
  const costOf = (counts: Int32Array): number => modules.reduce((sum, { cost }, i) => sum + cost * (counts[i] as number), 0);
  const behindFirst = Int32Array.from(modules, ({ order }) => order.length - 1);
  let left = costOf(Int32Array.from(modules, (_, i) => (perLayer[i] as number) - 1));
  if (costOf(behindFirst) <= left) return behindFirst.map(count => count + 1);
  const ends = modules.flatMap(module => [1, module.order.length - 1].map(place => rankAt(module, place))).filter(Number.isFinite);
  let [low, high] = [Math.min(...ends, 0) - 1, Math.max(...ends, 0)];
  // Rows behind the first that are above `high` and above `low`: what is sought lies between, so that each search is shorter than the last.
  let [sure, most] = [new Int32Array(modules.length), behindFirst];
  for (let middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2) {
    const between = Int32Array.from(modules, (module, i) => rowsAbove(module, middle, sure[i] as number, most[i] as number));
    if (costOf(between) <= left) [high, sure] = [middle, between];
    else [low, most] = [middle, between];
  }
  left -= costOf(sure);
  const taken = sure.map(count => count + 1);
  for (const [i, { cost }] of modules.entries())
    for (let count = sure[i] as number; count < (most[i] as number); count++) {
      left -= cost;
      if (left < 0) return taken;
      taken[i] = (taken[i] as number) + 1;
    }
  return taken;
}

const rankAt = ({ scores, order, mean }: RankedRows, place: number): number => (scores[order[place] as number] as number) / (mean || 1);

/** Rows behind the first whose rank is above this one: at least `least`, at most `most`. */
function rowsAbove(module: RankedRows, rank: number, least: number, most: number): number {
  let [low, high] = [least, most];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rankAt(module, middle + 1) > rank) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * As many rows as the budget pays for, whichever they are: enough to know sizes.
 * @throws SelectionError where a layer has fewer rows than the budget
 */
export function firstRows(modules: readonly RowsOf[], budget: Budget): Selection {
  checkBudget(modules, budget);
  const parts = competing(modules);
  return ofModules(parts, i => Int32Array.from({ length: rowBudget(elementAt(parts, i), budget) }, (_, row) => row));
}

/** @throws SelectionError that names the layers with fewer rows than the budget */
export function checkBudget(modules: readonly RowsOf[], budget: Budget): void {
  const small = competing(modules).filter(module => rowBudget(module, budget) > (module.weight.shape[0] as number));
  if (small.length > 0 && 'r' in budget) {
    const fewest = Math.min(...small.map(module => module.weight.shape[0] as number));
    const shown = small.slice(0, 3).map(module => `${module.name} (${module.weight.shape[0]} rows)`);
    throw new SelectionError(
      `r ${budget.r} is above the rows of ${small.length} ${small.length === 1 ? 'layer' : 'layers'}: ${shown.join(', ')}${small.length > 3 ? ', …' : ''}; set r to ${fewest} or less, leave these layers out of target_modules, or give a ratio`,
    );
  }
}

/** The scores of each part, of one array that holds those of its module. */
function ownScores(modules: readonly RowsOf[], parts: readonly Competing[], scores: Scores): Float32Array[] {
  const whole = new Map(modules.map(module => [module.name, scoresOf(module, scores)]));
  return parts.map(({ module, begin, weight }) => valueFor(whole, module).subarray(begin, begin + (weight.shape[0] as number)));
}

function scoresOf(module: RowsOf, scores: Scores): Float32Array {
  const found = scores.get(module.name);
  if (!found) throw new SelectionError(`there is no importance score for ${module.name}; compute the importance of this model again`);
  if (found.length !== module.weight.shape[0])
    throw new SelectionError(
      `${module.name} has ${module.weight.shape[0]} rows but ${found.length} scores; the scores belong to another model`,
    );
  const bad = found.findIndex(score => !Number.isFinite(score));
  if (bad >= 0) throw new SelectionError(`the score of row ${bad} of ${module.name} is ${found[bad]}; compute the importance again`);
  return found;
}

/** The r rows of highest score, ascending by row. */
export const topRows = (scores: Float32Array, r: number): Int32Array => rowOrder(scores).slice(0, r).sort();

/** Bits of a score that are sorted by at once, three times. */
const DIGIT_BITS = 11;
const DIGITS = 2 ** DIGIT_BITS;

/**
 * All rows, the highest score first; of equal scores the lower row comes first. A radix sort over the bits of the scores: a millisecond for
 * 50,000 rows, where a comparing function takes 15.
 * @param scores [rows], none of them NaN
 */
export function rowOrder(scores: Float32Array): Int32Array {
  const { length } = scores;
  const keys = fallingKeys(scores);
  let order = new Int32Array(length);
  for (let row = 0; row < length; row++) order[row] = row;
  let next = new Int32Array(length);
  for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
    const places = new Uint32Array(DIGITS + 1);
    const digitOf = (row: number): number => ((keys[row] as number) >>> shift) & (DIGITS - 1);
    for (let row = 0; row < length; row++) places[digitOf(row) + 1] = (places[digitOf(row) + 1] as number) + 1;
    for (let digit = 1; digit < DIGITS; digit++) places[digit] = (places[digit] as number) + (places[digit - 1] as number);
    for (let i = 0; i < length; i++) {
      const row = order[i] as number;
      const place = places[digitOf(row)] as number;
      places[digitOf(row)] = place + 1;
      next[place] = row;
    }
    [order, next] = [next, order];
  }
  return order;
}

/** The bits of each score as a number that falls where the score rises; −0 is 0. */
function fallingKeys(scores: Float32Array): Uint32Array {
  const values = new Float32Array(scores.length);
  for (let i = 0; i < values.length; i++) values[i] = (scores[i] as number) + 0;
  const keys = new Uint32Array(values.buffer);
  for (let i = 0; i < keys.length; i++) {
    const bits = keys[i] as number;
    keys[i] = bits >= 0x80000000 ? bits : 0x7fffffff - bits;
  }
  return keys;
}
