/** Compares metrics of predictions with scikit-learn 1.9.1, SciPy 1.17.1 and NumPy. */
import { describe, expect, it } from 'vitest';
import { calibrationError, classAccuracies, f1, macroF1, matthews, pearson, quartiles, spearman } from '../../../trainer/train/metrics.ts';

const three = [
  [2, 1, 1],
  [1, 2, 0],
  [1, 1, 3],
];
const two = [
  [2, 1],
  [1, 3],
];

describe('classes', () => {
  it('F1 and Matthews as scikit-learn', () => {
    expect(macroF1(three)).toBeCloseTo(0.5793650793650794, 12);
    expect(matthews(three)).toBeCloseTo(0.37896836447993354, 12);
    expect(f1(two, 1)).toBeCloseTo(0.75, 12);
    expect(matthews(two)).toBeCloseTo(0.4166666666666667, 12);
  });

  it('macro F1 is over the classes that are there or are given, as scikit-learn without labels=', () => {
    // f1_score([0, 0, 1, 1], [0, 1, 1, 3], average='macro') of classes 0, 1 and 3; 2 does not occur.
    const sparse = [
      [1, 1, 0, 0],
      [0, 1, 0, 1],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ];
    expect(macroF1(sparse)).toBeCloseTo((2 / 3 + 1 / 2 + 0) / 3, 12);
  });

  it('a side that never varies has no correlation', () => {
    const constant = [
      [3, 0],
      [4, 0],
    ];
    expect(matthews(constant)).toBe(0);
    expect(f1(constant, 1)).toBe(0);
  });

  it('the accuracy of each class, where it has samples', () => {
    expect(classAccuracies(three)).toEqual([0.5, 2 / 3, 0.6]);
    expect(
      classAccuracies([
        [0, 0],
        [1, 1],
      ]),
    ).toEqual([undefined, 0.5]);
  });

  it('calibration is perfect where confidence is the share of hits, and its distance else', () => {
    expect(calibrationError([0.75, 0.75, 0.75, 0.75], [true, true, true, false])).toBeCloseTo(0, 12);
    expect(calibrationError([0.9, 0.9, 0.3], [true, false, true])).toBeCloseTo((2 * 0.4 + 0.7) / 3, 12);
  });
});

describe('numbers', () => {
  const a = [1, 2.5, 2.5, 4, 3, 0.5];
  const b = [0.8, 2, 3.1, 3.9, 2.2, 2.2];

  it('correlations as SciPy, equal values sharing their rank', () => {
    expect(pearson(a, b)).toBeCloseTo(0.719797370036295, 12);
    expect(spearman(a, b)).toBeCloseTo(0.5882352941176471, 12);
    expect(pearson(a, [1, 1, 1, 1, 1, 1])).toBe(0);
  });

  it('quartiles as NumPy', () => {
    const { min, q1, median, q3, max } = quartiles([0.2, 0.9, 0.4, 0.7]);
    const expected = [0.2, 0.35, 0.55, 0.75, 0.9];
    for (const [i, value] of [min, q1, median, q3, max].entries()) expect(value).toBeCloseTo(expected[i] as number, 12);
  });
});
