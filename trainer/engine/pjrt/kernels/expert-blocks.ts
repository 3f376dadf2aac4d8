/**
 * Groups assignments by expert, in blocks of fixed size (`graph/expert-blocks.ts`). A loop over the blocks then multiplies each by the
 * matrix of one expert. The work is that of the assignments themselves plus less than one block per expert.
 */
import { type BlockSizes, expertBlocks } from '../../../graph/expert-blocks.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

/** Group size: ranks of assignments are counted within groups, and groups are offset by the totals of earlier ones. */
const COUNTED = 256;

export const quotient = (emitter: Emitter, x: Value, by: number): Value => emitter.zip('divide', x, emitter.fill(by, 'i32'));
export const times = (emitter: Emitter, x: Value, by: number): Value => emitter.zip('multiply', x, emitter.fill(by, 'i32'));

export interface ExpertGroups extends BlockSizes {
  /** The assignment in each slot of the blocks, n if the slot is empty: i32 [count · size]. */
  readonly assignmentAt: Value;
  /** The expert of each block, in ascending order: i32 [count]. Blocks without assignments come last and have the last expert. */
  readonly expertOf: Value;
}

/** Groups assignments. @param ids the expert of each assignment, i32 [n] */
export function groupByExpert(emitter: Emitter, ids: Value, experts: number): ExpertGroups {
  const n = ids.shape[0] as number;
  const { size, count } = expertBlocks(n, experts);
  const { rank, totals } = ranksOf(emitter, ids, experts);
  // Number of blocks of each expert, and the cumulative numbers of blocks.
  const blocks = quotient(emitter, emitter.zip('add', totals, emitter.fill(size - 1, 'i32')), size);
  const ends = cumulative(emitter, blocks);
  const starts = emitter.zip('subtract', ends, blocks);
  const start = emitter.gather(starts, ids, 0);
  const places = emitter.zip('add', times(emitter, start, size), rank);
  const nobody = emitter.fill(n, 'i32', [count * size]);
  const assignmentAt = emitter.scatter(nobody, places, emitter.iota([n], 0, 'i32'), { combine: 'replace', unique: true });
  // A block's expert is the number of experts whose blocks end at or before it.
  const shape = [count, experts];
  const behind = emitter.compare('GE', emitter.iota(shape, 0, 'i32'), emitter.spread(ends, shape, [1]));
  const past = emitter.reduce('add', emitter.convert(behind, 'i32'), [1]);
  const expertOf = emitter.zip('minimum', past, emitter.fill(experts - 1, 'i32'));
  return { size, count, assignmentAt, expertOf };
}

/** Returns the inclusive cumulative sums: [n]. */
function cumulative(emitter: Emitter, entries: Value): Value {
  const n = entries.shape[0] as number;
  const isUpTo = emitter.compare('GE', emitter.iota([n, n], 0, 'i32'), emitter.iota([n, n], 1, 'i32'));
  return emitter.reduce('add', emitter.select(isUpTo, emitter.spread(entries, [n, n], [1]), emitter.fill(0, 'i32')), [1]);
}

/** Returns the number of earlier assignments to the same expert, i32 [n], and the total per expert, i32 [experts]. */
function ranksOf(emitter: Emitter, ids: Value, experts: number): { rank: Value; totals: Value } {
  const n = ids.shape[0] as number;
  const group = Math.min(COUNTED, n);
  const groups = Math.ceil(n / group);
  // Padding in the last group belongs to no expert.
  const padded = emitter.pad(ids, [0], [groups * group - n], emitter.fill(experts, 'i32'));
  const grouped = emitter.reshape(padded, [groups, group]);
  const pairs = [groups, group, group];
  const same = emitter.compare('EQ', emitter.spread(grouped, pairs, [0, 1]), emitter.spread(grouped, pairs, [0, 2]));
  const earlier = emitter.compare('LT', emitter.iota(pairs, 2, 'i32'), emitter.iota(pairs, 1, 'i32'));
  const inGroup = emitter.reduce('add', emitter.convert(emitter.map('and', [same, earlier]), 'i32'), [2]);
  const hot = [groups, group, experts];
  const isOf = emitter.compare('EQ', emitter.spread(grouped, hot, [0, 1]), emitter.iota(hot, 2, 'i32'));
  const counts = emitter.reduce('add', emitter.convert(isOf, 'i32'), [1]);
  const upTo = [groups, groups, experts];
  const isBefore = emitter.compare('LT', emitter.iota(upTo, 1, 'i32'), emitter.iota(upTo, 0, 'i32'));
  const eachBefore = emitter.select(isBefore, emitter.spread(counts, upTo, [1, 2]), emitter.fill(0, 'i32'));
  const before = emitter.reshape(emitter.reduce('add', eachBefore, [1]), [groups * experts]);
  const at = quotient(emitter, emitter.iota([n], 0, 'i32'), group);
  const place = emitter.zip('add', times(emitter, at, experts), ids);
  const own = emitter.slice(emitter.reshape(inGroup, [groups * group]), [0], [n]);
  return { rank: emitter.zip('add', own, emitter.gather(before, place, 0)), totals: emitter.reduce('add', counts, [0]) };
}
