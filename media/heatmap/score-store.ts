/** The scores that the host sent, and values derived from them on demand: figures, order, ranks, maxima. */
import type { ModuleScores, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';
import { blockOrder, rowOrder } from '../../trainer/selection.ts';
import { createRangeMax, type RangeMax } from './cell/range-max.ts';

/** The scores of one module in one set. */
export interface CellScores {
  readonly scores: Float32Array;
  readonly mean: number;
  readonly max: number;
  readonly min: number;
  /** Rows by descending score. */
  readonly order: Int32Array;
  /** The rank of each row. */
  readonly ranks: Int32Array;
  /** Number of neighboring rows that a budget chooses together; 1 if each row is chosen alone. */
  readonly block: number;
  /** Rows in the order in which a budget takes them, and the position of each row. Differs from `order` and `ranks` only with blocks. */
  readonly choiceOrder: Int32Array;
  readonly choiceRanks: Int32Array;
  /** Range maxima of the scores, by position. */
  readonly maxima: RangeMax;
  /** The largest score in each of PROFILE_PARTS equal parts of the rows, relative to the maximum; every row if there are fewer. */
  readonly profile: Float32Array;
  /** True if order and ranks are known; computing them takes milliseconds for a large module. */
  readonly isOrdered: boolean;
  readonly hasProfile: boolean;
}

export type SetScores = ReadonlyMap<string, CellScores>;

export interface ScoreStore {
  apply(set: ScoreSetRef, modules: readonly ModuleScores[]): void;
  of(set: ScoreSetRef | undefined): SetScores;
  /** Drops all other sets; the host sends them again on request. */
  keepOnly(sets: readonly ScoreSetRef[]): void;
}

/** Number of parts, the width of a zoomed-in cell in pixels. */
const PROFILE_PARTS = 96;

const idOf = ({ path, key }: ScoreSetRef): string => `${path}\n${key}`;
const NOTHING: SetScores = new Map();

export function createScoreStore(): ScoreStore {
  const sets = new Map<string, Map<string, CellScores>>();
  return {
    apply(set, modules) {
      const known = sets.get(idOf(set)) ?? new Map<string, CellScores>();
      sets.set(idOf(set), known);
      for (const { name, scores, block } of modules) known.set(name, cellScores(scores, block));
    },
    of: set => (set && sets.get(idOf(set))) ?? NOTHING,
    keepOnly(kept) {
      const ids = new Set(kept.map(idOf));
      for (const id of sets.keys()) if (!ids.has(id)) sets.delete(id);
    },
  };
}

/** @param block number of neighboring rows that are chosen together */
export function cellScores(scores: Float32Array, block = 1): CellScores {
  let [sum, max, min] = [0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < scores.length; i++) {
    const value = scores[i] ?? Number.NaN;
    sum += value;
    if (value > max) max = value;
    if (value < min) min = value;
  }
  let order: Int32Array | undefined;
  let ranks: Int32Array | undefined;
  let choiceOrder: Int32Array | undefined;
  let choiceRanks: Int32Array | undefined;
  let maxima: RangeMax | undefined;
  let profile: Float32Array | undefined;
  return {
    scores,
    mean: sum / scores.length,
    max,
    min,
    get order() {
      order ??= rowOrder(scores);
      return order;
    },
    get ranks() {
      ranks ??= inverse(this.order);
      return ranks;
    },
    block,
    get choiceOrder() {
      choiceOrder ??= block === 1 ? this.order : blockOrder(scores, block);
      return choiceOrder;
    },
    get choiceRanks() {
      choiceRanks ??= block === 1 ? this.ranks : inverse(this.choiceOrder);
      return choiceRanks;
    },
    get maxima() {
      maxima ??= createRangeMax(scores);
      return maxima;
    },
    get profile() {
      profile ??= profileOf(scores, max);
      return profile;
    },
    get hasProfile() {
      return profile !== undefined;
    },
    get isOrdered() {
      return ranks !== undefined;
    },
  };
}

function profileOf(scores: Float32Array, max: number): Float32Array {
  const parts = Math.min(PROFILE_PARTS, scores.length);
  const profile = new Float32Array(parts);
  if (!(max > 0)) return profile;
  for (let i = 0; i < scores.length; i++) {
    const part = Math.floor((i * parts) / scores.length);
    profile[part] = Math.max(profile[part] ?? 0, scores[i] ?? 0);
  }
  return profile.map(value => value / max);
}

function inverse(order: Int32Array): Int32Array {
  const ranks = new Int32Array(order.length);
  for (let place = 0; place < order.length; place++) ranks[order[place] ?? -1] = place;
  return ranks;
}
