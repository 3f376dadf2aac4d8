/** From scores and a budget to rows. */
import { describe, expect, test } from 'vitest';
import type { ModuleSpec } from '../../trainer/model/model-spec.ts';
import { firstRows, rowBudget, SelectionError, selectRows, topRows } from '../../trainer/selection.ts';

const module = (name: string, rows: number): ModuleSpec => ({
  name,
  kind: 'linear',
  part: 'mlp',
  layer: 0,
  weight: { name: `${name}.weight`, shape: [rows, 2] },
});
const scores = (...values: number[]): Float32Array => Float32Array.from(values);
const [a, b] = [module('a', 4), module('b', 6)];

describe('the rows', () => {
  test('are those of the highest scores, ascending', () => expect([...topRows(scores(1, 5, 3, 4, 0), 3)]).toEqual([1, 2, 3]));

  test('of equal scores the lower comes first', () => {
    expect([...topRows(scores(2, 2, 2, 2), 2)]).toEqual([0, 1]);
    expect([...topRows(scores(1, 2, 1, 2, 1), 3)]).toEqual([0, 1, 3]);
  });

  test('ascend by number, not by text', () => expect([...topRows(new Float32Array(12).fill(1), 12)]).toEqual([...Array(12).keys()]));

  test('are the same for scores in any order of modules', () => {
    const given = new Map([
      ['b', scores(1, 2, 3, 4, 5, 6)],
      ['a', scores(4, 3, 2, 1)],
    ]);
    expect(selectRows([a, b], given, { r: 2 })).toEqual(
      new Map([
        ['a', Int32Array.of(0, 1)],
        ['b', Int32Array.of(4, 5)],
      ]),
    );
  });
});

describe('the budget', () => {
  test('a ratio is a share of the rows of each layer, rounded, at least one', () => {
    expect([0.5, 0.3, 0.01, 1].map(ratio => rowBudget(b, { ratio }))).toEqual([3, 2, 1, 6]);
    expect([...firstRows([a, b], { ratio: 0.5 }).values()].map(rows => rows.length)).toEqual([2, 3]);
  });

  test('r above the rows of a layer names every such layer and says what to do', () => {
    const many = [a, b, module('c', 3), module('d', 2), module('e', 1)];
    for (const choose of [() => firstRows(many, { r: 5 }), () => selectRows(many, new Map(), { r: 5 })])
      expect(choose).toThrow(
        new SelectionError(
          'r 5 is above the rows of 4 layers: a (4 rows), c (3 rows), d (2 rows), …; set r to 1 or less, leave these layers out of target_modules, or give a ratio',
        ),
      );
    expect(() => firstRows([a], { r: 4 })).not.toThrow();
  });
});

describe('scores that cannot be used', () => {
  test.each<[string, Map<string, Float32Array>, RegExp]>([
    ['missing', new Map(), /no importance score for a; compute the importance of this model again/],
    ['of another model', new Map([['a', scores(1, 2)]]), /a has 4 rows but 2 scores/],
    ['not finite', new Map([['a', scores(1, 2, Number.NaN, 4)]]), /the score of row 2 of a is NaN/],
  ])('%s', (_, given, message) => {
    expect(() => selectRows([a], given, { r: 1 })).toThrow(SelectionError);
    expect(() => selectRows([a], given, { r: 1 })).toThrow(message);
  });
});
