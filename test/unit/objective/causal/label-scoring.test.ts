/** Tests how a label is read: when one pass is enough, where the label is, and how another label looks in its place. */
import { describe, expect, test } from 'vitest';
import { chooseScoring, labelStart, withLabel } from '../../../../trainer/objective/causal/label-scoring.ts';

const label = (name: string, ...ids: number[]) => ({ name, ids: Int32Array.from(ids) });
const example = (...ids: number[]) => ({ ids: Int32Array.from(ids), train: new Uint8Array(ids.length), file: 'x', line: 1 });

describe('choosing', () => {
  test('labels of a single token are chosen by their first token', () => {
    expect(chooseScoring([label('a', 5), label('b', 6)])).toMatchObject({ kind: 'begin', offset: 0, tokens: [5, 6] });
  });
  test('a common beginning of all labels is skipped', () => {
    expect(chooseScoring([label('a', 9, 5, 7), label('b', 9, 6)])).toMatchObject({ kind: 'begin', offset: 1, tokens: [5, 6] });
  });
  test('three labels of which two begin alike: each is tried', () => {
    expect(chooseScoring([label('a', 5, 1), label('b', 5, 2), label('c', 6)])).toMatchObject({ kind: 'each' });
  });
  test('a label that begins another: each is tried', () => {
    expect(chooseScoring([label('entail', 5), label('entailment', 5, 6)])).toMatchObject({ kind: 'each' });
  });
  test('fewer than two labels tell nothing', () => {
    expect(chooseScoring([label('a', 5)])).toBeUndefined();
  });
});

test('the position of a label is its last occurrence', () => {
  expect(labelStart(example(1, 5, 6, 3, 5, 6, 2), label('a', 5, 6))).toBe(4);
  expect(labelStart(example(1, 5, 3), label('a', 6))).toBe(-1);
});

test('replacing a label keeps the text after it, and cuts the text at the start if it is too long', () => {
  const own = label('a', 5);
  const other = label('b', 6, 7);
  const sample = example(1, 3, 5, 2);
  expect(withLabel(sample, own, 2, other, 100)).toEqual({ ids: Int32Array.of(1, 3, 6, 7, 2), train: Uint8Array.of(0, 0, 1, 1, 1) });
  expect(withLabel(sample, own, 2, other, 4)).toEqual({ ids: Int32Array.of(3, 6, 7, 2), train: Uint8Array.of(0, 1, 1, 1) });
});
