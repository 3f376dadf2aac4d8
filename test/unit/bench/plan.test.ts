/** Tests the plan of the benchmark, and how it processes the numbers of its processes. */
import { describe, expect, test } from 'vitest';
import { type Configuration, configure, isInference, describe as name, plan } from '../../../bench/configuration.ts';
import { TARGETS } from '../../../bench/ratios.ts';
import { disturbed } from '../../../bench/report.ts';
import { compareWork, coresFor, median, peakOf, type RawRow, withMemory } from '../../../bench/run-side.ts';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { RECOMPUTE_POLICIES } from '../../../trainer/graph/recompute.ts';

const raw = (row: Partial<RawRow>): RawRow => ({
  ...configure('rowtune', { method: 'lora' }),
  checkpointing: false,
  threads: 1,
  secondsPerStep: 1,
  stepSeconds: [1],
  peakBytes: 100,
  residentBytes: 50,
  trainable: 7,
  cpuShare: 1,
  loadAverage: 0,
  losses: [2.5],
  ...row,
});

describe('plan', () => {
  test.each([true, false])('quick %s: inference of both sides first, then in turn, nothing twice', quick => {
    const configurations = plan({ quick, threads: 2 });
    expect(configurations.slice(0, 2).every(isInference)).toBe(true);
    expect(new Set(configurations.map(name)).size).toBe(configurations.length);
    const theirs = configurations.filter(one => one.implementation === 'pytorch').length;
    const inTurn = configurations.slice(0, 2 * theirs).map(one => one.implementation);
    expect(inTurn).toEqual(Array.from({ length: theirs }, () => ['rowtune', 'pytorch']).flat());
  });

  test.each([true, false])('quick %s: has what every target needs', quick => {
    const has = (wanted: Partial<Configuration>) =>
      plan({ quick, threads: 2 }).some(one => namesOf(wanted).every(key => one[key] === wanted[key]));
    for (const { method, dropout, bounds } of TARGETS) {
      expect(has({ implementation: 'rowtune', method, dropout })).toBe(true);
      for (const bound of bounds)
        expect(has({ implementation: 'pytorch', method: 'lora', dropout: bound.dropout, setting: bound.setting })).toBe(true);
    }
  });

  test('the whole run has each of our methods at every recompute level', () => {
    for (const [method, dropout] of [
      ['full', 0],
      ['lora', 0.1],
      ['lora', 0],
      ['spsft', 0],
    ] as const) {
      const ours = plan({ quick: false, threads: 1 }).filter(
        one => one.implementation === 'rowtune' && one.method === method && one.dropout === dropout,
      );
      expect(ours.map(one => one.setting).sort()).toEqual([...RECOMPUTE_POLICIES].sort());
    }
  });
});

describe('cores', () => {
  test('are the last of those allowed', () => {
    expect(coresFor(1, 'Cpus_allowed_list:\t0-3,8-9\n')).toEqual([9]);
    expect(coresFor(3, 'Cpus_allowed_list:\t0-3,8-9\n')).toEqual([3, 8, 9]);
  });

  test('too few cores are an error that names the option', () => {
    expect(() => coresFor(2, 'Cpus_allowed_list:\t5\n')).toThrow(/only 1 may be used.*--threads/);
  });
});

test.each([
  [[3], 3],
  [[5, 1, 2], 2],
  [[4, 1, 2, 9], 3],
])('median of %j', (values, expected) => {
  expect(median(values)).toBe(expected);
});

describe('rows', () => {
  const inference = raw({ method: 'inference', peakBytes: 60 });

  test('count memory above inference on the same side with the same number of cores', () => {
    const rows = [inference, raw({}), raw({ implementation: 'pytorch', peakBytes: 500 }), raw({ threads: 2 })];
    expect(withMemory(rows).map(row => row.memoryBytes)).toEqual([0, 40]);
  });

  test('pay for compiling the step; leftovers of loading do not raise the baseline', () => {
    expect(peakOf(raw({}), { peakBytes: 100, firstPeak: 130 })).toBe(130);
    expect(peakOf(raw({}), { peakBytes: 100 })).toBe(100);
    expect(peakOf(inference, { peakBytes: 60, firstPeak: 90 })).toBe(60);
  });

  test('with the same losses and parameters are accepted', () => {
    expect(compareWork([inference, raw({}), raw({ implementation: 'pytorch', losses: [2.5004] })])).toEqual([]);
  });

  test('with fewer bits may start at a slightly different loss', () => {
    expect(compareWork([inference, raw({ dtype: 'bfloat16', losses: [2.52] })])).toEqual([]);
    expect(compareWork([inference, raw({ dtype: 'bfloat16', losses: [2.7] })])).toHaveLength(1);
  });

  test('of other models and batches are not compared', () => {
    expect(compareWork([inference, raw({ model: 'vit', losses: [9] }), raw({ tokens: 64, losses: [8] })])).toEqual([]);
    expect(withMemory([inference, raw({ model: 'vit' }), raw({ dtype: 'bfloat16' })])).toHaveLength(1);
  });

  test('that start at another loss or train another number of parameters are reported', () => {
    expect(compareWork([inference, raw({ losses: [2.6] })])).toHaveLength(1);
    expect(compareWork([inference, raw({ losses: [Number.NaN] })])).toHaveLength(1);
    expect(compareWork([inference, raw({}), raw({ implementation: 'pytorch', trainable: 8 })])).toHaveLength(1);
  });

  test('measured on a busy machine are reported', () => {
    const row = { ...raw({}), memoryBytes: 1 };
    expect(disturbed([row], 2)).toEqual([]);
    expect(disturbed([{ ...row, cpuShare: 0.6 }], 2)).toEqual(['rowtune lora r16 dropout 0 none: other processes took 40% of its core']);
    expect(disturbed([{ ...row, threads: 2, cpuShare: 0.6, loadAverage: 3.1 }], 2)).toHaveLength(1);
  });
});
