/** Tests which of our settings a target ratio uses, and when it is reached. */
import { describe, expect, test } from 'vitest';
import { type Configuration, configure } from '../../../bench/configuration.ts';
import { computeRatios, type Row, TARGETS, type Target } from '../../../bench/ratios.ts';
import { namesOf } from '../../../trainer/catalog/entries.ts';

type Measured = Pick<Row, 'secondsPerStep' | 'memoryBytes'>;

const row = (configuration: Partial<Configuration>, [secondsPerStep, memoryBytes]: readonly [number, number], threads = 1): Row => ({
  ...configure('rowtune', { method: 'spsft' }),
  checkpointing: false,
  threads,
  secondsPerStep,
  stepSeconds: [secondsPerStep],
  memoryBytes,
  peakBytes: memoryBytes,
  residentBytes: 0,
  trainable: 1,
  cpuShare: 1,
  loadAverage: 0,
  losses: [1],
  ...configuration,
});

const peer = row({ implementation: 'pytorch', method: 'lora', r: 16 }, [10, 1000]);
const target: Target = {
  name: 'ours',
  method: 'spsft',
  dropout: 0,
  prefer: 'secondsPerStep',
  bounds: [{ dropout: 0, setting: 'none', time: 0.8, memory: 0.5 }],
};

const settings = { none: [5, 900], cheap: [6, 400], block: [7, 200], sqrt: [9, 100] } as const;
const ours = namesOf(settings).map(setting => row({ setting }, settings[setting]));

describe('computeRatios', () => {
  test('takes the fastest setting among those that meet both bounds', () => {
    const [ratio] = computeRatios([peer, ...ours], 1, [target]);
    expect(ratio).toMatchObject({ setting: 'cheap', time: 0.6, memory: 0.4, reached: true });
  });

  test('takes the smallest among those that meet them where memory is preferred', () => {
    const [ratio] = computeRatios([peer, ...ours], 1, [{ ...target, prefer: 'memoryBytes' }]);
    expect(ratio).toMatchObject({ setting: 'block', reached: true });
  });

  test('where no setting meets the bounds, takes the one that misses by the smallest factor', () => {
    const slow = ours.map(({ setting, secondsPerStep, memoryBytes }) => row({ setting }, [secondsPerStep + 5, memoryBytes]));
    const [ratio] = computeRatios([peer, ...slow], 1, [target]);
    expect(ratio).toMatchObject({ setting: 'cheap', time: 1.1, reached: false });
  });

  test('one setting has to meet all bounds of a target', () => {
    const dropout = row({ implementation: 'pytorch', method: 'lora', dropout: 0.1 }, [20, 500]);
    const bounds = [...target.bounds, { dropout: 0.1, setting: 'none' as const, time: 0.8, memory: 0.5 }];
    const ratios = computeRatios([peer, dropout, ...ours], 1, [{ ...target, bounds }]);
    expect(ratios.map(ratio => ratio.setting)).toEqual(['block', 'block']);
    expect(ratios.map(ratio => ratio.memory)).toEqual([0.2, 0.4]);
  });

  test('never compares different numbers of cores, and returns nothing if a side is missing', () => {
    expect(computeRatios([peer, row({ setting: 'cheap' }, [1, 1], 2)], 1, [target])).toEqual([]);
    expect(computeRatios(ours, 1, [target])).toEqual([]);
  });

  test('a bound is met when the ratio equals it', () => {
    const at = (measured: Measured) => computeRatios([peer, { ...row({}, [1, 1]), ...measured }], 1, [target])[0]?.reached;
    expect(at({ secondsPerStep: 8, memoryBytes: 500 })).toBe(true);
    expect(at({ secondsPerStep: 8.001, memoryBytes: 500 })).toBe(false);
    expect(at({ secondsPerStep: 8, memoryBytes: 501 })).toBe(false);
  });

  test('the targets compare the same LoRA dropout with itself', () => {
    for (const { method, dropout, bounds } of TARGETS) if (method === 'lora') expect(bounds.map(bound => bound.dropout)).toEqual([dropout]);
  });
});
