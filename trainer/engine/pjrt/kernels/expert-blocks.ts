/**
 * Assignments grouped by expert in blocks of fixed size (`graph/expert-blocks.ts`). A loop over the blocks then multiplies each by the matrix of
 * one expert. That is the work of the assignments themselves and of less than a block for each expert.
 */
import { type BlockSizes, expertBlocks } from '../../../graph/expert-blocks.ts';
import type { Emitter } from '../emitter.ts';
import type { Value } from '../hlo-type.ts';

/** The ranks of assignments are counted within groups of so many, and the groups by their totals. */
const COUNTED = 256;

export const quotient = (emitter: Emitter, x: Value, by: number): Value => emitter.zip('divide', x, emitter.fill(by, 'i32'));
export const times = (emitter: Emitter, x: Value, by: number): Value => emitter.zip('multiply', x, emitter.fill(by, 'i32'));

export interface ExpertGroups extends BlockSizes {
  /** The assignment in each place of the blocks, n where there is none: i32 [count · size]. */
  readonly assignmentAt: Value;
  /** The expert of each block, in ascending order: i32 [count]. Blocks without assignments are the last, of the last expert. */
  readonly expertOf: Value;
}

/** @param ids the expert of each assignment, i32 [n] */
export function groupByExpert(emitter: Emitter, ids: Value, experts: number): ExpertGroups {
  const n = ids.shape[0] as number;
  const { size, count } = expertBlocks(n, experts);
  const { rank, totals } = ranksOf(emitter, ids, experts);
  // Blocks of each expert, and where the blocks of those before it end.
  const blocks = quotient(emitter, emitter.zip('add', totals, emitter.fill(size - 1, 'i32')), size);
  const ends = cumulative(emitter, blocks);
  const starts = emitter.zip('subtract', ends, blocks);
  const start = emitter.gather(starts, ids, 0);
  const places = emitter.zip('add', times(emitter, start, size), rank);
  const nobody = emitter.fill(n, 'i32', [count * size]);
  const assignmentAt = emitter.scatter(nobody, places, emitter.iota([n], 0, 'i32'), { combine: 'replace', unique: true });
  // A block is behind as many experts as end at or before it.
  const shape = [count, experts];
  const behind = emitter.compare('GE', emitter.iota(shape, 0, 'i32'), emitter.spread(ends, shape, [1]));
  const past = emitter.reduce('add', emitter.convert(behind, 'i32'), [1]);
  const expertOf = emitter.zip('minimum', past, emitter.fill(experts - 1, 'i32'));
  return { size, count, assignmentAt, expertOf };
}

/** The sum of the entries up to each, with it: [n]. */
function cumulative(emitter: Emitter, entries: Value): Value {
  const n = entries.shape[0] as number;
  const isUpTo = emitter.compare('GE', emitter.iota([n, n], 0, 'i32'), emitter.iota([n, n], 1, 'i32'));
  return emitter.reduce('add', emitter.select(isUpTo, emitter.spread(entries, [n, n], [1]), emitter.fill(0, 'i32')), [1]);
}

/** The number of earlier assignments to the same expert, i32 [n], and of all to each expert, i32 [experts]. */
function ranksOf(emitter: Emitter, ids: Value, experts: number): { rank: Value; totals: Value } {
  const n = ids.shape[0] as number;
  const group = Math.min(COUNTED, n);
  const groups = Math.ceil(n / group);
  // Those that fill up the last group belong to no expert.
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
