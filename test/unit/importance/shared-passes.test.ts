/**
 * Tests passes over the data that are divided among several processes: each batch is computed by one of them, and all exchange in the same
 * order.
 */
import { describe, expect, test } from 'vitest';
import { chooseElements } from '../../../trainer/importance/choose-elements.ts';
import { type ImportanceData, type SharingRanks, scoreModel } from '../../../trainer/importance/score-model.ts';
import { openReference } from '../../support/engines.ts';
import { model, modules, samples, source, task, weights } from './toy-task.ts';

const engine = await openReference();
const SIZE = 2;

/** A process, the samples that it has read, and how often it checked whether to stop. */
function processOf(rank: number, exact = true) {
  const read: number[] = [];
  let asked = 0;
  const ranks: SharingRanks = {
    rank,
    size: SIZE,
    parts: { count: SIZE, own: rank },
    agree: () => void asked++,
    sumArrays: values => values,
  };
  const whole = source(1);
  const data: ImportanceData = {
    engine,
    task,
    source: {
      ...whole,
      fill: planned => {
        read.push(...planned.rows.flatMap(({ sequences }) => sequences));
        return whole.fill(planned);
      },
    },
    recompute: 'none',
    exact,
    // Several sweeps.
    sweepBytes: 100,
    ranks,
  };
  return { data, read, asked: () => asked };
}

const passes = {
  'an exact measure': (data: ImportanceData, isCanceled?: () => boolean) =>
    scoreModel({ measure: 'taylor', model, modules, weights, seed: 0, data, isCanceled }),
  "rosa's elements": (data: ImportanceData, isCanceled?: () => boolean) =>
    chooseElements({ modules, weights, budgetOf: () => 1, data, isCanceled }),
  'sums over samples': (data: ImportanceData, isCanceled?: () => boolean) =>
    scoreModel({ measure: 'taylor_row', model, modules, weights, seed: 0, data: { ...data, exact: false }, isCanceled }),
};

describe.each(Object.entries(passes))('%s', (_, pass) => {
  test('each sample is read by one process in every sweep', async () => {
    const processes = Array.from({ length: SIZE }, (_, rank) => processOf(rank));
    for (const { data } of processes) await pass(data);
    const times = samples.map((_, sample) => processes.map(({ read }) => read.filter(each => each === sample).length));
    const sweeps = Math.max(...times.flat());
    for (const counts of times) expect(counts.toSorted((a, b) => a - b)).toEqual([0, sweeps]);
    expect(processes[1]?.asked()).toBe(processes[0]?.asked());
  });

  test('a request to stop in the last round ends also a process that has no batch there', async () => {
    for (let rank = 0; rank < SIZE; rank++) {
      const { data, asked } = processOf(rank);
      const rounds = Math.ceil(samples.length / SIZE);
      await expect(pass(data, () => asked() >= rounds)).rejects.toThrow(/canceled/);
      expect(asked()).toBe(rounds);
    }
  });
});
