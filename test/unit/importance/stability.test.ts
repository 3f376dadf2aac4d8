/** Compares overlaps of selections with sets, and tests the page of the report. */
import { describe, expect, test } from 'vitest';
import { chanceOverlap, jaccard, overlapOf, overlapTable, scoresOfClass, specificRows } from '../../../trainer/importance/stability.ts';
import { reportMarkdown, type StabilityReport } from '../../../trainer/importance/stability-report.ts';
import { createRandom, permutation } from '../../../trainer/random.ts';

const draw = (count: number, of: number, seed: number): Int32Array => permutation(of, createRandom(seed)).slice(0, count).sort();
const selection = (rows: Record<string, number[]>) => new Map(Object.entries(rows).map(([name, list]) => [name, Int32Array.from(list)]));

describe('the Jaccard index', () => {
  test.each([1, 2, 3, 4])('is that of sets, draw %i', seed => {
    const [a, b] = [draw(7, 20, seed), draw(9, 20, seed + 10)];
    const both = [...a].filter(row => b.includes(row)).length;
    expect(jaccard(a, b)).toBeCloseTo(both / new Set([...a, ...b]).size, 12);
  });

  test('is 1 for equal and for empty sets, and 0 for disjoint ones', () => {
    expect(jaccard(Int32Array.of(1, 3), Int32Array.of(1, 3))).toBe(1);
    expect(jaccard(new Int32Array(), new Int32Array())).toBe(1);
    expect(jaccard(Int32Array.of(1), Int32Array.of(2))).toBe(0);
  });

  test('of random draws is the overlap by chance', () => {
    const mean =
      Array.from({ length: 200 }, (_, i) => jaccard(draw(50, 1000, i), draw(50, 1000, i + 1000))).reduce((a, b) => a + b, 0) / 200;
    expect(mean).toBeCloseTo(chanceOverlap(50, 1000), 2);
  });
});

test('over modules: the mean, and the lowest with its name', () => {
  const [a, b] = [selection({ x: [0, 1], y: [0, 1] }), selection({ x: [0, 1], y: [1, 2] })];
  expect(overlapOf(a, b)).toEqual({ mean: (1 + 1 / 3) / 2, lowest: 1 / 3, lowestModule: 'y' });
  expect(overlapTable([a, b])).toEqual([
    [1, 2 / 3],
    [2 / 3, 1],
  ]);
});

test('rows that one class alone asks for', () => {
  const classes = [selection({ x: [0, 1, 2] }), selection({ x: [1, 3] }), selection({ x: [2, 3, 4] })];
  expect(specificRows(classes)).toEqual([selection({ x: [0] }), selection({ x: [] }), selection({ x: [4] })]);
});

test('the scores of one class', () => {
  expect(scoresOfClass(new Map([['x', Float32Array.of(1, 2, 3, 4, 5, 6)]]), 1, 3)).toEqual(new Map([['x', Float32Array.of(3, 4)]]));
});

test('the page has a table for each question', () => {
  const report: StabilityReport = {
    model: 'm',
    measure: 'qm_taylor',
    chosenRows: 2,
    rows: 10,
    samples: [6, 5],
    chance: 0.1,
    halves: [{ measure: 'qm_taylor', mean: 0.5, lowest: 0.25, lowestModule: 'a.b' }],
    measures: {
      names: ['qm_taylor', 'random'],
      overlaps: [
        [1, 0.1],
        [0.1, 1],
      ],
    },
    classes: {
      names: ['ham', 'sp|am'],
      samples: [3, 3],
      overlaps: [
        [1, 0.4],
        [0.4, 1],
      ],
      specificShares: [0.5, 0.25],
    },
    ablation: { columns: ['ham', 'sp|am'], sets: [{ name: 'none', rows: 0, losses: [0.1, 12345.6] }] },
  };
  const page = reportMarkdown(report);
  for (const line of [
    '| qm_taylor | 0.500 | 0.250 | a.b |',
    '| random | 0.100 | 1.000 |',
    '| sp\\|am | 3 | 0.250 |',
    '| none | 0 | 0.100 | 1.235e+4 |',
  ])
    expect(page).toContain(line);
});
