/** Compares the measures that need no graph with naive ones, and tests the reductions over classes. */
import { describe, expect, test } from 'vitest';
import { measureCatalog, measureNames, needsData } from '../../../trainer/catalog/measures.ts';
import { quantile, reduceClasses } from '../../../trainer/importance/class-scores.ts';
import { measures } from '../../../trainer/importance/measures.ts';
import { magnitude, randomScores, wanda } from '../../../trainer/importance/row-scores.ts';
import { classBalanceProblem } from '../../../trainer/protocol/checks/class-balance.ts';
import { importanceSettings } from '../../../trainer/protocol/recipe/settings/model-settings.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { reductionOf } from '../../support/numbers/reduction-of.ts';

test('magnitude is the length of each row', () => {
  const weight = randomNumbers(12, -1, 1, 1);
  const naive = [0, 1, 2, 3].map(row => Math.hypot(...weight.slice(3 * row, 3 * row + 3)));
  expectClose([...magnitude(Float32Array.from(weight), 4)], naive, 1e-6);
  expect([...magnitude(Float32Array.of(-3, 2), 2)]).toEqual([3, 2]);
});

test('wanda is |weight| times the length of the input', () => {
  expectClose([...wanda(Float32Array.of(1, -2, 3, 4), [2, 2], Float32Array.of(4, 9))], [1 * 2 + 2 * 3, 3 * 2 + 4 * 3], 1e-6);
});

test('random scores follow seed and name, and lie in [0, 1)', () => {
  const scores = randomScores('a', 1000, 1);
  expect(randomScores('a', 1000, 1)).toEqual(scores);
  expect(randomScores('a', 1000, 2)).not.toEqual(scores);
  expect(randomScores('b', 1000, 1)).not.toEqual(scores);
  expect(scores.every(score => score >= 0 && score < 1)).toBe(true);
  expect(scores.reduce((a, b) => a + b, 0) / 1000).toBeCloseTo(0.5, 1);
});

test('the recipe offers every measure, and each is computed from what the catalog says it needs', () => {
  expect(Object.keys(importanceSettings.measure.type.choices ?? {})).toEqual(measureNames);
  for (const name of measureNames) {
    const measure = measures[name];
    const of = measure.needs === 'outputs' ? measure.of : undefined;
    const { needs, byClass, perSample } = measureCatalog[name];
    expect({ needs, byClass, perSample }, name).toEqual({
      needs: measure.needs,
      byClass: of === 'classes',
      perSample: of === 'classes' || of === 'samples',
    });
  }
  expect(measureNames.filter(name => !needsData(name))).toEqual(['magnitude', 'lift', 'random']);
});

describe('over classes', () => {
  test('a quantile is between two neighbors, as NumPy has it', () => {
    const sorted = Float32Array.of(1, 2, 4, 8);
    expect([0, 0.5, 1, 0.9].map(share => quantile(sorted, share))).toEqual([1, 3, 8, expect.closeTo(6.8, 6)]);
  });

  test('quantiles-mean, largest and mean, of the classes that have samples', () => {
    // Two rows of four classes, the last of which has no samples.
    const scores = Float32Array.of(1, 30, 3, 10, 2, 20, 99, 99);
    const counts = [3, 1, 2, 0];
    const naive = (list: number[]): number => {
      const sorted = list.sort((a, b) => a - b);
      const at = (k: number): number => {
        const place = (k / 10) * 2;
        const [low, high] = [sorted[Math.floor(place)] as number, sorted[Math.ceil(place)] as number];
        return low + (high - low) * (place % 1);
      };
      return [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].reduce((sum, k) => sum + at(k), 0) / 11;
    };
    expectClose([...reduceClasses(reductionOf('qm_taylor'), scores, counts)], [naive([1, 3, 2]), naive([30, 10, 20])], 1e-6);
    expect([...reduceClasses(reductionOf('class_max_taylor'), scores, counts)]).toEqual([3, 30]);
    expect([...reduceClasses(reductionOf('class_mean_taylor'), scores, counts)]).toEqual([2, 20]);
  });

  test('few labels and unbalanced ones are warned of', () => {
    const labels = (counts: readonly number[]) => Object.fromEntries(counts.map((count, i) => [`l${i}`, count]));
    expect(classBalanceProblem(labels(Array(10).fill(5)))).toBeUndefined();
    expect(classBalanceProblem(labels([5, 5]))).toMatch(/are unreliable for 2 labels/);
    expect(classBalanceProblem(labels([...Array(10).fill(5), 25]))).toMatch(/'l10' has 25 samples and 'l0' has 5/);
  });
});
